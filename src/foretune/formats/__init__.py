"""How others spell the parameters of a run: one file per format, line numbers kept."""
