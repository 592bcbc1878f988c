"""What a user is told of an error of Spark."""

import re
from urllib.parse import unquote

CLASSED = re.compile(r"\[[A-Z][A-Z0-9_.]+\] .*")
# Of a Parquet file that is gone, or is not what was written; with the file's path.
DAMAGED = re.compile(r"\[(?:PATH_NOT_FOUND|FAILED_READ_FILE|CANNOT_READ_FILE_FOOTER)\b.*?file:/*(/.+?\.parquet)")


def problem_of(error):
    """The class of Spark's error and its first sentence, and the line where it tells one."""
    texts = texts_of(error)
    text = next((each for each in reversed(texts) if CLASSED.search(each)), texts[-1])
    known = CLASSED.search(text)
    first = essence(known.group(0) if known else text.strip().split("\n")[0])
    if any("No space left on device" in each for each in texts):
        return {"problem": f"No space is left on the disk: {first}"}
    damaged = next(filter(None, map(DAMAGED.search, texts)), None)
    if damaged:
        file = unquote(damaged.group(1)) if "%" in damaged.group(1) else damaged.group(1)
        return {"problem": f"The file {file} is missing or damaged: {first}"}
    line = re.search(r"(?:\(line |; line )(\d+)", text)
    return {"problem": first, **({"line": int(line.group(1))} if line else {})}


def texts_of(error):
    """From that of the whole job to what the task ran into."""
    cause, texts = getattr(error, "java_exception", None), [str(error)]
    while cause is not None:
        texts.append(str(cause.getMessage()))
        cause = cause.getCause()
    return texts


def essence(text):
    """Without the advice that follows, which is Spark's; but with the names that may be meant."""
    sentences = re.split(r"(?<=\.) +(?=[A-Z])", text.split("SQLSTATE: ")[0].strip())
    hints = [each for each in sentences[1:] if each.startswith("Did you mean")]
    return " ".join([sentences[0], *hints])
