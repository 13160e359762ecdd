"""deploy/README.md's way from PostgreSQL 15 to 18 keeps every row, its owner and who may read it."""

import re
import shlex
import unittest

import project
import servers

README = (project.TOP / "deploy/README.md").read_text()


def documented(program, name):
    """The arguments that the documentation gives a program for a database."""
    (line,) = re.findall(rf"exec -T postgres {program} (.*?) [<>] ", README)
    return shlex.split(line.replace("$name", name))


class Upgrade(unittest.TestCase):
    """With the schema of an installation of an earlier release."""

    def test_dump_and_restore_keep_everything(self):
        earlier = servers.debian_postgres()
        if earlier is None:
            self.skipTest("PostgreSQL 15 to 17 is missing: apt-get install postgresql")
        folder = project.prepared("upgrade")
        files = folder / "keys/files"
        described = (
            "SELECT n.nspname, c.relname, c.relkind, pg_get_userbyid(c.relowner) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = 'public' ORDER BY 1, 2"
        )
        of = {"user": "nodkey_registry", "password": (files / "registry_db_password").read_text(), "database": "nodkey_registry"}
        with servers.postgres(earlier) as old, servers.postgres(arguments=project.shipped()["services"]["postgres"]["command"][1:]) as new:
            self.assertLess(int(old.sql("SHOW server_version_num")), 180000)
            self.assertGreaterEqual(int(new.sql("SHOW server_version_num")), 180000)
            old.initialize(files)
            new.initialize(files)
            # What an earlier release left.
            schema = (project.TOP / "tests/installation/postgres/registry.sql").read_bytes()
            dump = folder / "registry.sql"
            dump.write_bytes(schema)
            with dump.open("rb") as text:
                old.run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", stdin=text, **of)
            custom = folder / "registry.dump"
            database = {"database": "nodkey_registry"}
            custom.write_bytes(old.run("pg_dump", *documented("pg_dump", "registry")))
            with custom.open("rb") as archive:
                new.run("pg_restore", *documented("pg_restore", "registry"), stdin=archive)
            self.assertGreater(len(old.sql(described, **database).splitlines()), 20)
            self.assertEqual(new.sql(described, **database), old.sql(described, **database))
            tables = [row.split("|")[1] for row in old.sql(described, **database).splitlines() if row.split("|")[2] == "r"]
            for table in tables:
                rows = f'SELECT count(*), md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM "{table}" t'
                self.assertEqual(new.sql(rows, **of), old.sql(rows, **of), table)
