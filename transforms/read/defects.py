"""What is odd about the annotations of an example that is read all the same; the manifest counts it."""

from collections import Counter

from transforms.records import Box, Example

# In the order of the manifest.
DEFECTS = ("zero_area", "inverted", "outside", "duplicate_box", "no_annotations")


def defects_of(example: Example, size: tuple[int, int] | None) -> Counter[str]:
    """Counts the defects of an example.

    Args:
        example: any.
        size: (width, height) in pixels of the picture that its boxes were drawn on; None if unknown.

    Returns:
        How many boxes are inverted, have no area, lie wholly outside the picture or are exact copies of
        another of the same class, each counted once as the first of these; and whether
        nothing is annotated at all.
    """
    found: Counter[str] = Counter()
    bounds = (1.0, 1.0) if example.relative else size
    seen = set()
    for box in example.boxes:
        key = (box.name, box.xmin, box.ymin, box.xmax, box.ymax)
        if box.xmax < box.xmin or box.ymax < box.ymin:
            found["inverted"] += 1
        elif box.xmax == box.xmin or box.ymax == box.ymin:
            found["zero_area"] += 1
        elif bounds is not None and _is_outside(box, *bounds):
            found["outside"] += 1
        elif key in seen:
            found["duplicate_box"] += 1
        seen.add(key)
    if not example.boxes and not example.labels:
        found["no_annotations"] += 1
    return found


def _is_outside(box: Box, width: float, height: float) -> bool:
    return box.xmax <= 0 or box.ymax <= 0 or box.xmin >= width or box.ymin >= height
