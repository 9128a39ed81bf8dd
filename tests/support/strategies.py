"""Hypothesis strategies for the structs of the wire, built from their types."""

from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import strategies as st
from msgspec import inspect as types

T = TypeVar("T")

MAX_INT = 2**53
"""Largest whole number that every JSON reader keeps exact."""

texts = st.text(max_size=20)
"""Any text that JSON can carry: no lone surrogates."""

numbers = st.floats(allow_nan=False, allow_infinity=False)

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INT, MAX_INT) | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def structs(kind: type[T]) -> st.SearchStrategy[T]:
    """Every value that a struct can hold."""
    info = types.type_info(kind)
    assert isinstance(info, types.StructType), f"{kind} is no struct"
    made = {field.name: _values(field.type) for field in info.fields}
    return st.builds(kind, **made)


def _values(info: types.Type) -> st.SearchStrategy[Any]:
    make = _MAKERS.get(type(info))
    if make is None:
        raise NotImplementedError(f"no strategy for {info}")
    return make(info)


def _strings(info: types.StrType) -> st.SearchStrategy[str]:
    if info.pattern is not None:
        return st.from_regex(info.pattern, fullmatch=True)
    return st.text(max_size=min(info.max_length or 20, 20))


def _integers(info: types.IntType) -> st.SearchStrategy[int]:
    low, high = info.ge, info.le
    return st.integers(-MAX_INT if low is None else low, MAX_INT if high is None else high)


def _floats(info: types.FloatType) -> st.SearchStrategy[float]:
    return st.floats(info.ge, info.le, allow_nan=False, allow_infinity=False)


def _lists(info: types.ListType | types.VarTupleType) -> st.SearchStrategy[list[Any]]:
    most = 3 if info.max_length is None else info.max_length
    return st.lists(_values(info.item_type), min_size=info.min_length or 0, max_size=most)


def _dicts(info: types.DictType) -> st.SearchStrategy[dict[Any, Any]]:
    return st.dictionaries(_values(info.key_type), _values(info.value_type), max_size=3)


_MAKERS: dict[type[types.Type], Callable[[Any], st.SearchStrategy[Any]]] = {
    types.AnyType: lambda _: json_values,
    types.NoneType: lambda _: st.none(),
    types.BoolType: lambda _: st.booleans(),
    types.StrType: _strings,
    types.IntType: _integers,
    types.FloatType: _floats,
    types.DecimalType: lambda _: st.decimals(allow_nan=False, allow_infinity=False),
    types.LiteralType: lambda info: st.sampled_from(info.values),
    types.UnionType: lambda info: st.one_of([_values(one) for one in info.types]),
    types.ListType: _lists,
    types.TupleType: lambda info: st.tuples(*map(_values, info.item_types)),
    types.VarTupleType: lambda info: _lists(info).map(tuple),
    types.DictType: _dicts,
    types.StructType: lambda info: structs(info.cls),
    types.Metadata: lambda info: _values(info.type),
}
