"""Static pages of the whole course, without a kernel: ``make site``."""
