"""The course in a real browser. How to write such a test: see ``browser.notebook``."""
