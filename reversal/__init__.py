"""Reversal signals: bars, features, the two-stage model, the scan. The only room where floats carry prices."""
