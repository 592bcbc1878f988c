"""The types that DuckDB would give the columns of a query, where Spark has others."""

from pyspark.sql import types as t
from pyspark.sql.functions import col


def as_duckdb_types(frame):
    """The same rows, in the types that DuckDB would give them where Spark has others.

    `date_trunc` and some more of Spark's functions turn a TIMESTAMP into one with a time zone. That
    it has one is taken back where nothing with a time zone went in. A NULL alone is an integer.
    """
    fields = frame.schema.fields
    types = [each.dataType for each in fields]
    if any(isinstance(each, t.TimestampType) for each in types):
        zones = Zones(frame)
        types = [each if zones.is_zoned(at) else unzoned(each) for at, each in enumerate(types)]
    types = [t.IntegerType() if isinstance(each, t.NullType) else each for each in types]
    if types == [each.dataType for each in fields]:
        return frame
    return frame.select(
        [col(quoted(each.name)).cast(type_).alias(each.name) for each, type_ in zip(fields, types)]
    )


def unzoned(type_):
    return t.TimestampNTZType() if isinstance(type_, t.TimestampType) else type_


class Zones:
    """Tells of the columns of a query whether a timestamp with time zone went into them."""

    def __init__(self, frame):
        self.plan = frame._jdf.queryExecution().analyzed()
        # By the id of a column: what it is made of; the ids of those that are read from files.
        self.definitions = {}
        self.read = set()
        self.common = {}
        self.answers = {}
        self.collect(self.plan)

    def is_zoned(self, index):
        return self.of(self.plan.output().apply(index))

    def collect(self, plan):
        """Notes what defines each column that the plan names."""
        kind = kind_of(plan)
        if kind == "CTERelationDef":
            self.common[plan.id()] = plan.child()
        for child in items(plan.children()):
            self.collect(child)
        # Those of WITH are among the children in one version of Spark, and apart in another.
        if kind == "WithCTE":
            for definition in items(plan.cteDefs()):
                self.collect(definition)
        if kind in COLUMN_BY_COLUMN:
            for index, column in enumerate(items(plan.output())):
                for definition in COLUMN_BY_COLUMN[kind](self, plan, index):
                    self.define(column.exprId(), definition)
        elif plan.children().size() == 0 and kind != "UnionLoopRef":
            self.read.update(str(column.exprId()) for column in items(plan.output()))
        # The others make no such column; each is many calls to Java.
        for expression in filter(is_timestamp, items(plan.expressions())):
            self.collect_aliases(expression)

    def collect_aliases(self, expression):
        if kind_of(expression) == "Alias":
            self.define(expression.exprId(), expression.child())
        if kind_of(expression) in SUBQUERIES:
            self.collect(expression.plan())
        for child in items(expression.children()):
            self.collect_aliases(child)

    def define(self, expression_id, definition):
        self.definitions.setdefault(str(expression_id), []).append(definition)

    def of(self, expression):
        if not is_timestamp(expression):
            return False
        kind = kind_of(expression)
        if kind in SUBQUERIES:
            return self.of(expression.plan().output().apply(0))
        if kind == "WindowExpression":
            return self.of(expression.windowFunction())
        if kind == "Literal":
            return expression.value() is not None
        if kind != "AttributeReference":
            children = items(expression.children())
            return any(map(self.of, children)) if children else True
        name = str(expression.exprId())
        if name not in self.answers:
            definitions = self.definitions.get(name, [])
            # Until it is known: a union names its columns as its first child does.
            self.answers[name] = name in self.read
            self.answers[name] = self.answers[name] or any(map(self.of, definitions))
        return self.answers[name]


SUBQUERIES = {"ScalarSubquery"}


def is_timestamp(expression):
    return expression.dataType().typeName() == "timestamp"


def columns_of_union(zones, plan, index):
    return [child.output().apply(index) for child in items(plan.children())]


def columns_of_expand(zones, plan, index):
    return [row.apply(index) for row in items(plan.projections())]


def columns_of_common(zones, plan, index):
    common = zones.common.get(plan.cteId())
    return [] if common is None else [common.output().apply(index)]


# What the columns of a plan are made of, where not of expressions that have names.
COLUMN_BY_COLUMN = {
    "Union": columns_of_union,
    "UnionLoop": columns_of_union,
    "Expand": columns_of_expand,
    "CTERelationRef": columns_of_common,
}


def kind_of(node):
    return node.getClass().getSimpleName()


def items(sequence):
    return [sequence.apply(index) for index in range(sequence.size())]


def quoted(name):
    return "`" + name.replace("`", "``") + "`"
