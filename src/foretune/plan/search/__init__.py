"""Going through the settings of a run for those that fit given GPUs: ``foretune plan --fit``."""
