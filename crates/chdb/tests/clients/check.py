"""clickhouse-connect against the engine: every way that its users write and read."""

import logging
import sys
import threading
import time

import clickhouse_connect
import pyarrow as pa
import pyarrow.parquet as pq
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.external import ExternalData

HOST, PORT = sys.argv[1].rsplit(":", 1)
PASSWORD = sys.argv[2]


def connect(**options):
    return clickhouse_connect.get_client(
        host=HOST, port=int(PORT), username="checker", password=PASSWORD, **options
    )


def expect(found, wanted, what):
    if found != wanted:
        raise SystemExit(f"python: {what}: found {found!r}, wanted {wanted!r}")
    print(f"python: ok: {what}")


def fails(action, word, what):
    try:
        action()
    except Exception as error:  # any kind will do, silence will not
        if word not in str(error):
            raise SystemExit(f"python: {what}: {error!r} does not say {word}") from error
        print(f"python: ok: {what}")
        return
    raise SystemExit(f"python: {what}: no error")


def tables_and_inserts(client):
    client.command("CREATE DATABASE py ENGINE = Atomic")
    client.command(
        "CREATE TABLE py.t (id UInt64, name LowCardinality(String), at DateTime64(9, 'UTC'),"
        " tags Map(String, String), n Nullable(Int32)) ENGINE = MergeTree ORDER BY id"
    )
    columns = ["id", "name", "tags", "n"]
    rows = [[i, f"name {i % 7}", {"k": str(i)}, None if i % 2 else i] for i in range(20_000)]
    for compress in (False, "lz4", "zstd", "gzip"):
        client.command("TRUNCATE TABLE py.t")
        connect(compress=compress).insert("t", rows, column_names=columns, database="py")
        expect(client.query("SELECT count(), sum(id) FROM py.t").first_row, (20_000, 199_990_000), f"insert, compress={compress}")
    found = connect(compress="lz4").query("SELECT id, name, tags, n FROM py.t ORDER BY id LIMIT 3 OFFSET 1").result_rows
    expect(found, [(i, f"name {i % 7}", {"k": str(i)}, None if i % 2 else i) for i in (1, 2, 3)], "rows come back as they were")


def formats(client):
    client.command("CREATE TABLE py.f (id UInt64, name String) ENGINE = MergeTree ORDER BY id")
    table = pa.table({"id": pa.array(range(1_000), pa.uint64()), "name": [f"n{i}" for i in range(1_000)]})
    client.insert_arrow("f", table, database="py")
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    client.raw_insert("py.f", insert_block=sink.getvalue().to_pybytes(), fmt="Parquet")
    client.raw_insert("py.f", insert_block=b'{"id":1000,"name":"x"}\n', fmt="JSONEachRow")
    row_binary = (1001).to_bytes(8, "little") + b"\x01y"
    client.raw_insert("py.f", insert_block=row_binary, fmt="RowBinary")
    expect(client.query("SELECT count(), max(id) FROM py.f").first_row, (2_002, 1_001), "Arrow, Parquet, JSONEachRow, RowBinary")
    expect(client.query_arrow("SELECT id FROM py.f WHERE id < 1000").num_rows, 2_000, "query_arrow")
    with client.query_row_block_stream("SELECT number FROM numbers(1000000)") as stream:
        expect(sum(len(block) for block in stream), 1_000_000, "streamed blocks")


def parameters_sessions_external(client):
    found = client.query("SELECT {a:UInt32} + 1, {b:String}, {c:Array(String)}", parameters={"a": 1, "b": "it's \\ \n", "c": ["x", "y'"]})
    expect(found.first_row, (2, "it's \\ \n", ["x", "y'"]), "parameters")
    session = connect(session_id="a-session")
    session.command("CREATE TEMPORARY TABLE mine (a UInt8)")
    session.insert("mine", [[1], [2]], column_names=["a"])
    expect(session.query("SELECT sum(a) FROM mine").first_row, (3,), "temporary table in a session")
    fails(lambda: connect(session_id="another").query("SELECT * FROM mine"), "UNKNOWN_TABLE", "sessions are apart")
    external = ExternalData(file_name="movies.csv", data=b"1,one\n2,two\n", fmt="CSV", structure="id UInt64, title String")
    found = client.query("SELECT title FROM movies WHERE id IN (SELECT id FROM py.f) ORDER BY id", external_data=external)
    expect(found.result_rows, [("one",), ("two",)], "external data")
    expect(client.query("SELECT getSetting('max_threads')", settings={"max_threads": 3}).first_row, (3,), "settings")


def errors(client):
    fails(lambda: client.query("SELECT * FROM py.missing"), "UNKNOWN_TABLE", "an error before the first byte")
    fails(lambda: client.insert("f", [["x"]], column_names=["nope"], database="py"), "nope", "an insert into a missing column")

    def halfway():
        sql = "SELECT number, throwIf(number = 2000000, 'halfway') FROM numbers(10000000)"
        with client.query_row_block_stream(sql) as stream:
            for _ in stream:
                pass

    fails(halfway, "halfway", "an error in the middle of a stream")
    expect(client.query("SELECT 1").first_row, (1,), "the client goes on after errors")


def many_at_once():
    failures = []

    def work(n):
        try:
            client = connect(autogenerate_session_id=False)
            for i in range(5):
                if client.query(f"SELECT {n} * 10 + {i}").first_row != (n * 10 + i,):
                    failures.append(n)
        except ClickHouseError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(failures, [], "64 clients at once")


def gone_mid_query(client):
    victim = connect(send_receive_timeout=1)
    fails(lambda: victim.query("SELECT sum(sipHash64(number)) FROM numbers(1000000000000)"), "", "a client gives up")
    count = "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64%' AND query NOT LIKE '%processes%'"
    deadline = time.monotonic() + 20
    while client.query(count).first_row != (0,):
        if time.monotonic() > deadline:
            raise SystemExit("python: the query of a client that went away still runs")
    print("python: ok: the query of a client that went away has ended")


def main():
    # The client logs the errors that are expected here.
    logging.disable(logging.CRITICAL)
    client = connect(autogenerate_session_id=False)
    expect(client.ping(), True, "ping")
    tables_and_inserts(client)
    formats(client)
    parameters_sessions_external(client)
    errors(client)
    many_at_once()
    gone_mid_query(client)


main()
