"""Helpers of the Makefile (parallel repro, changed metrics, check of the folder), and makers of EEGMAT's trials and of
the documentation's pictures.
"""
