"""How a cohort is run. One signature, equal results within float tolerance."""

from hasa_jax.execution.masked import masked
from hasa_jax.execution.sliced import sliced

EXECUTIONS = {"masked": masked, "sliced": sliced}

__all__ = ["EXECUTIONS", "masked", "sliced"]
