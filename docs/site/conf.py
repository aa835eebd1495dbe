"""The site's Sphinx configuration. build.py copies it beside what it reads."""

import sys

import gallery
from sphinx_gallery.sorting import FileNameSortKey

import minigan

project, author = "minigan", "the minigan authors"
copyright = "the minigan authors, MIT licence"
version = release = minigan.__version__
root_doc = "index"
extensions = ["sphinx.ext.autodoc", "sphinx_gallery.gen_gallery", "myst_nb", "house"]
exclude_patterns = ["scripts/**", "learn/gallery/*.ipynb", "learn/gallery/*.py"]
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb", ".ipynb": "myst-nb"}
suppress_warnings = ["config.cache"]  # the gallery's functions have no pickle, and nothing is built twice
html_math_renderer = "mathml"  # of house.py: MathJax would be fetched
highlight_language = "none"
nitpicky = False
language = "en"

# ── Markdown
myst_enable_extensions = ["colon_fence", "dollarmath", "deflist", "attrs_inline"]
myst_heading_anchors = 5
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_execution_show_tb = True
nb_merge_streams = True
nb_render_markdown_format = "myst"

# ── docstrings, which house.py turns into reST
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
python_maximum_signature_line_length = 90
add_module_names = False
toc_object_entries_show_parents = "hide"

# ── the gallery
sphinx_gallery_conf = {
    "examples_dirs": "scripts",
    "gallery_dirs": "learn/gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": FileNameSortKey,
    "image_scrapers": (gallery.Pictures(),),
    "min_reported_time": 0,
    "abort_on_example_error": True,
    "show_signature": False,
    "download_all_examples": True,
    "remove_config_comments": True,
    "reset_modules": (),
    "parallel": 2,
    "write_computation_times": False,  # a page that fetches its scripts
}

# ── how it looks: all files come with the theme, nothing is fetched
html_theme = "pydata_sphinx_theme"
html_title = "minigan"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_search_summary = False  # summaries are fetched, which pages on disk may not do
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {
    "logo": {"text": "minigan"},
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "use_edit_page_button": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "navigation_with_keys": False,
    "show_nav_level": 1,
}
html_sidebars = {"index": []}

sys.setrecursionlimit(5000)  # the pickled environment nests as deep as the longest page
