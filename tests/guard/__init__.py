"""Tests that start Ray, a server or a browser are marked `services`; any other that tries, fails.

The folder is on PYTHONPATH while another runs, so that the Python processes that it starts find
their `sitecustomize` here.
"""
