"""The work of one client: batches, objectives, training, evaluation, calibration."""
