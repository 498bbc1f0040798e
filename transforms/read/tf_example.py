"""`tf.train.Example` without TensorFlow: the message, declared for the protobuf library.

The declaration lives in a pool of its own, so that it never meets TensorFlow's in one process.
Source: tensorflow/core/example/example.proto and feature.proto.
"""

from collections.abc import Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from transforms.errors import RecordError

_Field = descriptor_pb2.FieldDescriptorProto
_LISTS = {"bytes": _Field.TYPE_BYTES, "float": _Field.TYPE_FLOAT, "int64": _Field.TYPE_INT64}


def _declare() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="audit", syntax="proto3")
    for kind, scalar in _LISTS.items():
        values = file.message_type.add(name=f"{kind.capitalize()}List")
        values.field.add(name="value", number=1, type=scalar, label=_Field.LABEL_REPEATED)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, kind in enumerate(_LISTS, 1):
        feature.field.add(
            name=f"{kind}_list",
            number=number,
            type=_Field.TYPE_MESSAGE,
            type_name=f".audit.{kind.capitalize()}List",
            label=_Field.LABEL_OPTIONAL,
            oneof_index=0,
        )
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL)
    entry.field.add(
        name="value",
        number=2,
        type=_Field.TYPE_MESSAGE,
        type_name=".audit.Feature",
        label=_Field.LABEL_OPTIONAL,
    )
    features.field.add(
        name="feature",
        number=1,
        type=_Field.TYPE_MESSAGE,
        type_name=".audit.Features.FeatureEntry",
        label=_Field.LABEL_REPEATED,
    )
    example = file.message_type.add(name="Example")
    example.field.add(
        name="features",
        number=1,
        type=_Field.TYPE_MESSAGE,
        type_name=".audit.Features",
        label=_Field.LABEL_OPTIONAL,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("audit.Example"))


ExampleProto = _declare()


def parse(record: bytes) -> dict[str, Sequence[Any]]:
    """The features of a serialised `tf.train.Example`: name -> bytes, floats or ints.

    Raises:
        RecordError: `malformed_record`, the bytes are no such message.
    """
    try:
        features = ExampleProto.FromString(record).features.feature
    except DecodeError as error:
        raise RecordError("malformed_record", f"{len(record)} bytes are not a tf.train.Example") from error
    found = {}
    for name, feature in features.items():
        kind = feature.WhichOneof("kind")
        found[name] = getattr(feature, kind).value if kind else ()
    return found
