"""apportion: understand, simulate and run GPU clusters."""

__version__ = "0.1.0"
