"""The report: CSV files for `dvc plots`, paired comparisons of runs, and one self-contained HTML page.

`collected` reads what the page shows, `page` fills `report.html.j2`; `ablation` and `padding` make its tables, `paired`
compares two runs sample by sample.
"""
