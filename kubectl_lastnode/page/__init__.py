"""The report as one page for a browser: ``document`` puts ``sections`` together, ``plots`` draws them as ``svg``. Pure.

Imported only when somebody asks for the page: templates and plots are for nobody who asks for a table.
"""
