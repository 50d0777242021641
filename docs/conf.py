from neighborgraph.version import __version__

project = "neighborgraph"
author = "the neighborgraph developers"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"neighborgraph {release}"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

default_role = "code"  # a name in single backticks inside a docstring
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_use_ivar = True
