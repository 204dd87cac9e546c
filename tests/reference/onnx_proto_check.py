"""Compares src/onnx/proto.rs with the descriptors of the onnx package: every message, field number, type, label,
packedness, oneof and enum value.

    pip install onnx
    python tests/reference/onnx_proto_check.py src/onnx/proto.rs
"""

import re
import sys

from google.protobuf.descriptor import FieldDescriptor as F
from onnx import onnx_ml_pb2

TYPES = {v: k[5:].lower() for k, v in vars(F).items() if k.startswith("TYPE_")}
snake = lambda s: re.sub(r"(?<!^)(?=[A-Z])", "_", s).lower()
flat = lambda s: s.replace("_", "").lower()


def expected():
    """{message: {(number, name): (kind, repeated, packed, type)}}, {enum: {NAME: number}}"""
    messages, enums = {}, {}

    def walk(message):
        fields = messages[message.name if message.containing_type is None else f"{message.containing_type.name}.{message.name}"] = {}
        for f in message.fields:
            repeated = f.is_repeated if hasattr(f, "is_repeated") else f.label == F.LABEL_REPEATED
            packed = repeated and f.is_packed if hasattr(f, "is_packed") else bool(f.GetOptions().packed)
            target = f.message_type or f.enum_type
            numeric = repeated and f.type not in (F.TYPE_MESSAGE, F.TYPE_STRING, F.TYPE_BYTES)
            fields[f.number, f.name] = (
                TYPES[f.type], repeated, packed if numeric else None, target.name if target else None,
                f.containing_oneof.name if f.containing_oneof else None,
            )
        for enum in message.enum_types:
            enums[enum.name] = {flat(v.name): v.number for v in enum.values}
        for nested in message.nested_types:
            walk(nested)

    for message in onnx_ml_pb2.DESCRIPTOR.message_types_by_name.values():
        walk(message)
    return messages, enums


def written(text):
    messages, enums, oneofs, holders = {}, {}, {}, []
    top = {snake(m): m for m in re.findall(r"^pub struct (\w+)", text, re.M)}
    module = None
    lines = iter(text.splitlines())
    struct = enum = tags = None
    for line in lines:
        if m := re.match(r"pub mod (\w+)", line):
            module = top[m[1]]
        elif line == "}":
            module = module if struct or enum else None
        if m := re.match(r"\s*pub struct (\w+)", line):
            struct = messages.setdefault(f"{module}.{m[1]}" if module else m[1], {})
        elif m := re.match(r"\s*pub enum (\w+)", line):
            enum = (f"{module}.{m[1]}" if module else m[1], {})
        elif line.strip() == "}" and (struct is not None or enum is not None):
            if enum is not None:
                (oneofs if module else enums)[enum[0]] = enum[1]
            struct = enum = None
        elif m := re.search(r"#\[prost\((.*)\)\]", line):
            tags = m[1]
        elif struct is not None and (m := re.match(r"\s*pub (?:r#)?(\w+): (.*),$", line)):
            if "oneof" in tags:
                holders.append((struct, m[1], re.findall(r'oneof = "(?:\w+::)?(\w+)"', tags)[0], tags))
                holders[-1] += (next(k for k, v in messages.items() if v is struct),)
                continue
            struct[int(re.search(r'tag = "(\d+)"', tags)[1]), m[1]] = describe(tags, m[2], None)
        elif enum is not None and (m := re.match(r"\s*(\w+)\((.*)\),$", line)):
            enum[1][int(re.search(r'tag = "(\d+)"', tags)[1]), snake(m[1])] = (tags, m[2])
        elif enum is not None and (m := re.match(r"\s*(\w+) = (\d+),$", line)):
            enum[1][flat(m[1])] = int(m[2])
    for struct, field, name, tags, message in holders:
        own = oneofs[next(k for k in oneofs if k.endswith(f".{name}") and k.startswith(message.split(".")[0] + "."))]
        numbers = {int(n) for n in re.search(r'tags = "([\d, ]+)"', tags)[1].split(",")}
        assert numbers == {n for n, _ in own}, (message, numbers)
        for key, (variant_tags, type_) in own.items():
            struct[key] = describe(variant_tags, type_, field)
    return messages, enums


def describe(tags, type_, oneof):
    kind = re.match(r"(\w+)", tags)[1]
    kind = {"enumeration": "enum"}.get(kind, kind)
    repeated = "repeated" in tags
    packed = {"true": True, "false": False}.get((re.search(r'packed = "(\w+)"', tags) or [None, None])[1])
    target = re.findall(r"\w+", type_)[-1] if kind == "message" else None
    if kind == "enum":
        target = re.search(r'enumeration = "(\w+)"', tags)[1]
    assert oneof or repeated or "optional" in tags, tags
    return kind, repeated, packed, target, oneof


def main(path):
    messages, enums = expected()
    own_messages, own_enums = written(open(path).read())
    problems = []
    for name in sorted(messages.keys() | own_messages.keys()):
        theirs, ours = messages.get(name), own_messages.get(name)
        if theirs is None or ours is None:
            problems.append(f"{name}: only {'here' if theirs is None else 'in onnx'}")
            continue
        for key in sorted(theirs.keys() | ours.keys()):
            if theirs.get(key) != ours.get(key):
                problems.append(f"{name} {key}: onnx {theirs.get(key)}, here {ours.get(key)}")
    for name in sorted(enums.keys() | own_enums.keys()):
        if enums.get(name) != own_enums.get(name):
            problems.append(f"enum {name}: onnx {enums.get(name)}, here {own_enums.get(name)}")
    print("\n".join(problems) or f"{len(messages)} messages, {sum(map(len, messages.values()))} fields, {len(enums)} enums agree")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
