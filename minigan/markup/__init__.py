"""How things show themselves outside a terminal: tables as HTML, a tensor's history as SVG.

Here is what a notebook asks of an object, ``_repr_html_``, for those of several rooms: text goes in, text
comes out, every name in it escaped. Figures of runs are in reports/, what a browser follows live is not here.
Colours are the reader's own (currentColor), so that pages light and dark show them.
"""
