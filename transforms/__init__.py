"""The audit's five rooms: read, explain, measure, judge, write.

Data flows through them in that order; `pipeline.audit` joins them. Each room has one `wiring.py`
(its PTransforms); its other modules are plain Python that knows nothing of Beam.
"""
