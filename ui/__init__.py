"""The dashboard around its pages: who may come in, how figures look, what is forwarded."""
