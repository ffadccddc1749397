"""A directory for tests: a private slapd from the system's package, with a few people and groups.

Owns its configuration, its data and its process. Only loopback addresses are bound.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

from tests.support.certificates import Authority
from tests.support.polling import eventually
from tests.support.server import HOST, free_port
from tests.support.skipping import skip_unless_ci

SUFFIX = "dc=example,dc=org"
PEOPLE = f"ou=people,{SUFFIX}"
GROUPS = f"ou=groups,{SUFFIX}"
READER = f"cn=reader,{SUFFIX}"
PASSWORDS = {"ann": "ann-s3cret", "bob": "bob, s3cret*", "o'neil (x)": "tricky-s3cret", "cn=reader": "reader-s3cret"}

CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {directory}/slapd.pid
TLSCertificateFile {certificates}/server.pem
TLSCertificateKeyFile {certificates}/server.key
TLSCACertificateFile {certificates}/ca.pem
{more}
database mdb
suffix "{suffix}"
rootdn "cn=admin,{suffix}"
directory {directory}/data
access to attrs=userPassword by anonymous auth by * none
access to * by users read by anonymous auth
"""

DATA = """\
dn: {suffix}
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: {people}
objectClass: organizationalUnit
ou: people

dn: {groups}
objectClass: organizationalUnit
ou: groups

dn: {reader}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: reader-s3cret

dn: uid=ann,{people}
objectClass: inetOrgPerson
uid: ann
cn: Ann
sn: A
userPassword: ann-s3cret

dn: uid=bob,{people}
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: B
userPassword: bob, s3cret*

dn: uid=o'neil (x),{people}
objectClass: inetOrgPerson
uid: o'neil (x)
cn: O'Neil
sn: O
userPassword: tricky-s3cret

dn: ou=twins,{people}
objectClass: organizationalUnit
ou: twins

dn: cn=twin 1,ou=twins,{people}
objectClass: inetOrgPerson
uid: twin
cn: twin 1
sn: T
userPassword: twin-s3cret

dn: cn=twin 2,ou=twins,{people}
objectClass: inetOrgPerson
uid: twin
cn: twin 2
sn: T
userPassword: twin-s3cret

dn: cn=Operators,{groups}
objectClass: groupOfNames
cn: Operators
member: uid=ann,{people}

dn: cn=writers,{groups}
objectClass: groupOfNames
cn: writers
member: uid=ann,{people}
member: uid=bob,{people}
"""


class Directory:
    """Running once `start` returns. TLS by the authority's certificate `server`."""

    def __init__(self, directory: Path, authority: Authority, more: str = "") -> None:
        """`more`: lines for slapd's configuration."""
        self.program = shutil.which("slapd") or "/usr/sbin/slapd"
        if not Path(self.program).exists():
            skip_unless_ci("slapd is not installed (Debian: slapd)")
        self.port, self.tls_port = free_port(), free_port()
        self.configuration = directory / "slapd.conf"
        (directory / "data").mkdir(parents=True)
        self.configuration.write_text(
            CONFIGURATION.format(directory=directory, certificates=authority.directory, suffix=SUFFIX, more=more)
        )
        data = directory / "data.ldif"
        data.write_text(DATA.format(suffix=SUFFIX, people=PEOPLE, groups=GROUPS, reader=READER))
        add = [self.program, "-Tadd", "-f", str(self.configuration), "-l", str(data)]
        done = subprocess.run(add, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"ldap://{HOST}:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"ldaps://{HOST}:{self.tls_port}"

    def start(self) -> None:
        urls = f"{self.url}/ {self.tls_url}/"
        command = [self.program, "-f", str(self.configuration), "-h", urls, "-d", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(self._accepts, timeout_s=30)

    def _accepts(self) -> bool:
        try:
            socket.create_connection((HOST, self.tls_port), timeout=1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None
