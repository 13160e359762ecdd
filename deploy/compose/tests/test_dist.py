"""What `make dist` packs: the same bytes each time, complete, and as it says."""

import hashlib
import json
import os
import shutil
import stat
import subprocess
import tarfile
import unittest

import project

BINARIES = ["nodkey", *(f"nodkey-{name}" for name in project.SERVICES)]


def dist(binaries, out, cwd=project.TOP, **variables):
    """Runs scripts/dist."""
    command = [project.TOP / "scripts/dist", "--binaries", binaries, "--out", out]
    environment = project.clean_environment(**variables)
    return subprocess.run(command, cwd=cwd, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run(*command, cwd):
    """Runs a command that has to succeed. Its output."""
    return subprocess.run(command, cwd=cwd, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout


class Dist(unittest.TestCase):
    """With the binaries of this build."""

    @classmethod
    def setUpClass(cls):
        cls.folder = project.fresh("dist")
        # Stripped once, they are packed faster each time.
        cls.binaries = cls.folder / "binaries"
        cls.binaries.mkdir()
        for name in BINARIES:
            subprocess.run(["strip", "--strip-debug", "-o", cls.binaries / name, project.BIN / name], check=True)
        cls.time = run("git", "log", "-1", "--format=%ct", cwd=project.TOP).strip()
        made = dist(cls.binaries, cls.folder / "one")
        assert made.returncode == 0, made.stderr
        (cls.archive,) = (cls.folder / "one").glob("*.tar.gz")
        cls.unpacked = cls.folder / "unpacked"
        cls.unpacked.mkdir()
        run("tar", "-xf", cls.archive, cwd=cls.unpacked)
        cls.tree = cls.unpacked / cls.archive.name.removesuffix(".tar.gz")

    def test_twice_the_same_commit_gives_the_same_bytes(self):
        # At another time, of other files with other rights, from another folder, in another place of the world.
        others = self.folder / "others"
        others.mkdir()
        for name in reversed(BINARIES):
            shutil.copyfile(self.binaries / name, others / name)
            (others / name).chmod(0o700)
        made = dist(others, self.folder / "two", cwd="/", TZ="Asia/Tokyo", LC_ALL="C.UTF-8", SOURCE_DATE_EPOCH=self.time)
        self.assertEqual(made.returncode, 0, made.stderr)
        (second,) = (self.folder / "two").glob("*.tar.gz")
        self.assertEqual(hashlib.sha256(second.read_bytes()).digest(), hashlib.sha256(self.archive.read_bytes()).digest())

    def test_it_is_named_after_version_and_target(self):
        version = run(self.tree / "bin/nodkey", "--version", cwd="/").split()[1]
        target = next(line for line in run("rustc", "-vV", cwd="/").splitlines() if line.startswith("host: ")).removeprefix("host: ")
        self.assertEqual(self.archive.name, f"nodkey-{version}-{target}.tar.gz")
        self.assertEqual(sorted(os.listdir(self.folder / "one")), ["SHA256SUMS", self.archive.name])

    def test_nothing_is_written_outside_its_folder_or_belongs_to_anybody(self):
        with tarfile.open(self.archive) as archive:
            members = archive.getmembers()
        self.assertEqual([member.name for member in members], sorted(member.name for member in members))
        for member in members:
            self.assertTrue(member.isfile() or member.isdir(), f"{member.name} is a link or a device")
            self.assertNotIn("..", member.name.split("/"))
            self.assertEqual(member.name.split("/")[0], self.tree.name)
            self.assertEqual((member.uid, member.gid, member.uname, member.gname), (0, 0, "", ""))
            self.assertEqual(member.mtime, int(self.time))
            self.assertEqual(member.mode & (stat.S_ISUID | stat.S_ISGID | 0o022), 0, member.name)
        self.assertEqual(os.listdir(self.unpacked), [self.tree.name])

    def test_checksums_cover_every_file_and_find_a_changed_one(self):
        listed = {line.split("  ", 1)[1] for line in (self.tree / "SHA256SUMS").read_text().splitlines()}
        files = {str(path.relative_to(self.tree)) for path in self.tree.rglob("*") if path.is_file()}
        self.assertEqual(listed, files - {"SHA256SUMS"})
        run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=self.tree)
        run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=self.folder / "one")
        changed = self.folder / "changed"
        shutil.copytree(self.tree, changed)
        with open(changed / "bin/nodkey-gateway", "r+b") as binary:
            binary.seek(4096)
            binary.write(b"nodkey")
        with self.assertRaises(subprocess.CalledProcessError):
            run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=changed)

    def test_every_binary_runs_without_its_symbols(self):
        for name in BINARIES:
            self.assertTrue(run(self.tree / "bin" / name, "--version", cwd="/").startswith(f"{name} "))
            sections = run("readelf", "--section-headers", "--wide", self.tree / "bin" / name, cwd="/")
            self.assertIn(" .text ", sections)
            self.assertNotIn(" .symtab ", sections)
            self.assertNotIn(" .debug_", sections)

    def test_shells_read_the_completions(self):
        files = {"bash": "nodkey", "zsh": "_nodkey", "fish": "nodkey.fish"}
        self.assertEqual(sorted(os.listdir(self.tree / "completions")), sorted(files.values()))
        for shell, file in files.items():
            self.assertIn("relying-parties", (self.tree / "completions" / file).read_text())
            if shutil.which(shell):
                run(shell, "-n", self.tree / "completions" / file, cwd="/")

    def test_the_unit_is_valid_and_runs_the_binary(self):
        unit = (self.tree / "systemd/nodkey.service").read_text()
        self.assertIn("ExecStart=/usr/local/bin/nodkey ", unit)
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is missing")
        here = self.folder / "nodkey.service"
        here.write_text(unit.replace("/usr/local/bin/nodkey", str(self.tree / "bin/nodkey")))
        self.assertEqual(run("systemd-analyze", "verify", "--man=no", here, cwd="/"), "")

    def test_components_are_listed(self):
        listed = json.loads((self.tree / "sbom.cdx.json").read_text())
        self.assertEqual((listed["bomFormat"], listed["specVersion"]), ("CycloneDX", "1.6"))
        names = {component["name"] for component in listed["components"]}
        self.assertTrue({"tokio", "axum", "nodkey-gateway"} <= names)
        self.assertFalse({"proptest", "nodkey-testkit"} & names, "what only tests need is not in it")

    def test_binaries_of_two_builds_are_not_mixed(self):
        mixed = self.folder / "mixed"
        shutil.copytree(self.binaries, mixed)
        (mixed / "nodkey-binding").write_text("#!/bin/sh\necho nodkey-binding 0.0.9\n")
        made = dist(mixed, self.folder / "three")
        self.assertEqual((made.returncode, os.listdir(self.folder / "three")), (1, []))
        self.assertIn("nodkey-binding is not of version", made.stderr)

    def test_an_unknown_argument_is_refused(self):
        made = subprocess.run([project.TOP / "scripts/dist", "--binary"], text=True, stderr=subprocess.PIPE)
        self.assertEqual(made.returncode, 2)
        self.assertIn("Usage: scripts/dist", made.stderr)
