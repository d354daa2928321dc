"""The report: CSV files for `dvc plots`, paired comparisons of runs, and one self-contained HTML page."""
