"""Runs one job of Millrace under spark-submit.

The only argument names the job, a JSON file. What becomes of each step is written to the folder
that the job names, one file a step, each renamed into place when it is whole; nothing is told on
standard output. Ends with 0 when every step has its file, however the steps fared, and otherwise
when Spark itself is gone.
"""

import json
import os
import re
import signal
import sys
import threading
import time

from pyspark.sql import SparkSession

from duckdb_types import as_duckdb_types, quoted
from problems import problem_of

LOOK_AFTER_OWNER_SECONDS = 1
# Paths are names, not patterns, and the folders above the files tell nothing of columns.
AS_NAMED = {"__globPaths__": "false", "recursiveFileLookup": "true"}


def main(job_file):
    with open(job_file, encoding="utf-8") as file:
        job = json.load(file)
    end_with(job["owner"])
    spark = start()
    run = Run(spark, job["results"], job["nothing"])
    for relation in job["relations"]:
        run.add_relation(relation)
    for index, step in enumerate(job["steps"]):
        run.step(index, step)
    spark.stop()


def end_with(owner):
    """Ends this process group soon after the process `owner`, which may be killed at any time."""
    if not is_alive(owner):
        return  # It is not to be seen from here, as in another container.

    def watch():
        while is_alive(owner):
            time.sleep(LOOK_AFTER_OWNER_SECONDS)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def start():
    spark = SparkSession.builder.getOrCreate()
    spark.sparkContext.setLogLevel("WARN")
    if spark.sparkContext.master.startswith("local"):
        # 200, the default, is for clusters; more than there are cores, so that each fits in memory.
        partitions = str(max(8, 2 * spark.sparkContext.defaultParallelism))
        spark.conf.set("spark.sql.shuffle.partitions", partitions)
    return spark


class Run:
    def __init__(self, spark, results, nothing):
        self.spark = spark
        self.results = results
        self.nothing = nothing
        # Why what comes after a step is skipped, and why reading a relation fails.
        self.stopped = set()
        self.unreadable = {}

    def add_relation(self, relation):
        name = relation["name"]
        try:
            # Without files, those of an empty folder.
            urls = [url(file) for file in relation["files"] or [self.nothing]]
            reader = self.spark.read.options(**AS_NAMED).schema(relation["schema"])
            reader.parquet(*urls).createOrReplaceTempView(quoted(name))
        except Exception as error:
            self.give_up_without_spark(error)
            self.unreadable[name.lower()] = problem_of(error)

    def step(self, index, step):
        stopped = [name for name in step["after"] if name in self.stopped]
        if stopped:
            self.stopped.add(step["name"])
            self.tell(index, "ended", {"outcome": "skipped", "because": stopped[0]})
            return
        self.tell(index, "started", {})
        began = time.monotonic()
        try:
            result = {"outcome": "done", **KINDS[step["kind"]](self, step)}
        except Exception as error:
            self.give_up_without_spark(error)
            result = {"outcome": "failed", **self.explain(error)}
        if result["outcome"] == "failed" or (step.get("severity") == "error" and result["rows"]):
            self.stopped.add(step["name"])
        self.tell(index, "ended", {**result, "seconds": time.monotonic() - began})

    def view(self, step):
        frame = self.select(step)
        frame.createOrReplaceTempView(quoted(step["name"]))
        return {"rows": 0, "columns": columns_of(frame)}

    def table(self, step):
        frame = self.select(step)
        self.write(frame, step["directory"])
        reader = self.spark.read.options(**AS_NAMED).schema(frame.schema)
        written = reader.parquet(url(step["directory"]))
        written.createOrReplaceTempView(quoted(step["name"]))
        return {"rows": written.count(), "columns": columns_of(frame)}

    def check(self, step):
        frame = self.select(step)
        rows = frame.count()
        if rows > 0 and step["keep"] > 0:
            self.write(frame.limit(step["keep"]), step["directory"])
        return {"rows": rows, "columns": columns_of(frame)}

    def select(self, step):
        return as_duckdb_types(self.spark.sql(step["sql"]))

    def write(self, frame, directory):
        for field in frame.schema.fields:
            # As Parquet has it, Spark's interval is a plain number to everybody else.
            if "interval" in field.dataType.simpleString():
                raise Refused(
                    f"column {field.name} is an interval, which other engines can't read: "
                    "make it a number with EXTRACT"
                )
        frame.write.mode("errorifexists").parquet(url(directory))

    def explain(self, error):
        told = problem_of(error)
        missing = re.search(r"^\[TABLE_OR_VIEW_NOT_FOUND\] .* `(.+)` cannot", told["problem"])
        return self.unreadable.get(missing.group(1).lower(), told) if missing else told

    def give_up_without_spark(self, error):
        """Nothing a step does stops Spark: where it has stopped, this run can't go on."""
        try:
            is_stopped = self.spark.sparkContext._jsc.sc().isStopped()
        except Exception:
            is_stopped = True  # The Java process is gone.
        if is_stopped:
            print(f"Spark has stopped: {error}", file=sys.stderr, flush=True)
            os._exit(1)

    def tell(self, index, what, content):
        name = os.path.join(self.results, f"{index}-{what}.json")
        with open(name + ".new", "w", encoding="utf-8") as file:
            json.dump(content, file)
        os.rename(name + ".new", name)


KINDS = {"view": Run.view, "table": Run.table, "check": Run.check}


class Refused(Exception):
    pass


def url(path):
    # With its scheme: else it is a path of the cluster's own file system.
    return "file://" + path


def columns_of(frame):
    return [{"name": each.name, "type": each.dataType.jsonValue()} for each in frame.schema.fields]


if __name__ == "__main__":
    main(sys.argv[1])
