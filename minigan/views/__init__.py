"""Figures of a moment of training, in Bokeh, from plain arrays: what the studio and the report share.

A ``Snapshot`` is the state of an experiment at a step, as copies; a ``Reader`` makes a ``Frame`` of it, what
there is to be seen, in plain arrays; a view is a figure that shows one frame after another. So a page that
lives, a file with a slider and a test have the same figures::

    reader = Reader(config, data)                    # of its own: nothing here touches the one that trains
    frame = reader.frame(snapshot(experiment))       # Frame(step, line | plane, …)
    view = line_view(reader.scene, LIGHT)            # or plane_view, curves_view, …
    view.show(frame)                                 # view.layout is what Bokeh draws
    columns = view.columns(frame)                    # {source: {column: array}}: what a slider's script swaps

A run on disk has frames of its own, without a state: ``Frame`` takes what there is, and a view leaves out
what is None. A ``Recorder`` keeps snapshots, evenly thinned out, each of which can be trained on from.

Bokeh is imported by the views alone (the extra ``ui``), and a view is imported where it is used. Servers,
commands and files belong to other rooms.
"""
