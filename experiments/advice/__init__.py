"""Which policy fits some devices, and what it costs: from shapes, without training."""
