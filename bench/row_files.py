"""Files of orders, as Lines, Csv and NdJson: the same on every machine, made once."""
import os

from ground import BUILD

COLUMNS = ("id", "customer", "amount", "status", "created")
STATUS = ("open", "paid", "sent", "lost")
# "Shuffled" is Lines whose keys are in no order.
KINDS = ("Csv", "Lines", "Shuffled", "NdJson")
FORMAT = {"Csv": "Csv", "Lines": "Lines", "Shuffled": "Lines", "NdJson": "NdJson"}
KEY = {"Csv": ["id"], "Lines": [], "Shuffled": [], "NdJson": ["id"]}
FIELDS = {"Csv": ["id"], "Lines": [], "Shuffled": [], "NdJson": ["id", "customer", "amount", "status", "created"]}
STRIDE = 7_368_787  # a prime: walking by it, modulo a number of rows that it does not divide, meets each once
BLOCK = 100_000


def orders(first, count):
    """Ids without a duplicate; the rest looks like what people have."""
    x = 2463534242 + first
    for i in range(first, first + count):
        x = (x * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        r = x >> 24
        yield (100_000_000 + 7 * i, r % 9_999_991, r % 900_000, STATUS[r & 3],
               f"2024-{r % 12 + 1:02}-{r % 28 + 1:02}T{r % 24:02}:{r % 60:02}:00Z")


def line(kind, order):
    id_, customer, cents, status, created = order
    if kind == "Lines":
        return f"order-{id_}\n"
    if kind == "Csv":
        return f"{id_},customer-{customer},{cents // 100}.{cents % 100:02},{status},{created}\n"
    return (f'{{"id":{id_},"customer":"customer-{customer}","amount":{cents // 100}.{cents % 100:02},'
            f'"status":"{status}","created":"{created}"}}\n')


def row_file(kind, rows):
    path = BUILD / f"orders-{rows}.{kind.lower()}"
    if path.exists():
        return path
    BUILD.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    with open(unfinished, "w") as out:
        if kind == "Csv":
            out.write(",".join(COLUMNS) + "\n")
        for first in range(0, rows, BLOCK):
            block = range(first, min(first + BLOCK, rows))
            if kind == "Shuffled":
                out.write("".join(f"order-{100_000_000 + 7 * (i * STRIDE % rows)}\n" for i in block))
            else:
                out.write("".join(line(kind, o) for o in orders(first, len(block))))
    os.replace(unfinished, path)
    return path
