"""Made-up surveys, calibrated on printed figures, written the way such surveys arrive."""
