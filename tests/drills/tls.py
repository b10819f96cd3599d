#!/usr/bin/env python3
"""The TLS doors as others see them: openssl s_client, sslyze, and a load while certificates change.

Certificates are made with openssl: an authority for the switch, one for clients, one for nobody. The
switch listens with client certificates, and without them for the scanner. Then

  versions     1.0 and 1.1 are refused, 1.2 and 1.3 spoken
  ciphers      nothing without forward secrecy, authentication or an authenticated cipher
  clients      none, expired, of another authority: refused; the good one: served
  resumption   no session is resumed, no connection renegotiated
  sslyze       the same with other eyes, and what it knows of old attacks (`pip install sslyze`)
  reload       `acquirer load` over TLS while certificates are replaced and SIGHUP is sent: every
               message gets its answer, and new handshakes show the new certificate

  tests/drills/tls.py [BINARY]

DRILL_SHORT=1 loads for 5 seconds instead of 30. Needs openssl. Writes target/drills/tls.json. Exit
code 0 passed, 1 failed, 77 skipped.
"""

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from running import ROOT, binary_of, write_evidence
from wire import Wrong, check

SHORT = os.environ.get("DRILL_SHORT") == "1"
SECONDS = 5 if SHORT else 30
NAME = "switch.example"
START_SECONDS_MAX = 60


NOTHING_CAME = "nothing came"


def openssl(*arguments, given=b"", seconds=30):
    """What openssl says, on either stream, and whether it went well."""
    command = ["openssl", *arguments]
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return False, NOTHING_CAME
    return done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")


def made(*arguments):
    went_well, said = openssl(*arguments)
    check(went_well, f"openssl {arguments[0]}: {said}")


def authority(folder, name):
    made(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-subj", f"/CN={name}", "-days", "30", "-keyout", f"{folder}/{name}.key",
        "-out", f"{folder}/{name}.pem",
    )
    return name


def signed(folder, ca, file, name, expired=False):
    """A certificate for a name, as files."""
    made(
        "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-subj", f"/CN={name}", "-keyout", f"{folder}/{file}.key", "-out", f"{folder}/{file}.csr",
    )
    extensions = Path(folder, f"{file}.ext")
    extensions.write_text(f"subjectAltName=DNS:{name}\n")
    command = [
        "x509", "-req", "-in", f"{folder}/{file}.csr", "-CA", f"{folder}/{ca}.pem",
        "-CAkey", f"{folder}/{ca}.key", "-CAcreateserial", "-extfile", str(extensions),
        "-out", f"{folder}/{file}.pem", "-days", "-1" if expired else "20",
    ]
    made(*command)
    return [f"{folder}/{file}.pem", f"{folder}/{file}.key"]


def configuration(folder):
    door = """
[[listener]]
name = "{name}"
address = "127.0.0.1:0"
framing = "be2"
spec = "iso87-ascii"
[listener.tls]
certificate = "{folder}/switch.pem"
key = "{folder}/switch.key"
"""
    text = 'admin = "127.0.0.1:0"\n'
    text += door.format(name="mutual", folder=folder) + f'client_ca = "{folder}/clients.pem"\n'
    text += door.format(name="scanned", folder=folder)
    text += '[log]\nstdout = "off"\n'
    path = Path(folder, "switch.toml")
    path.write_text(text)
    return path


def started(binary, folder):
    command = [str(binary), "serve", "--demo", "--data", f"{folder}/store"]
    command += ["--config", str(configuration(folder))]
    with open(f"{folder}/switch.err", "w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    ports = []
    for line in process.stdout:
        words = line.split()
        if words[:1] == ["listening"]:
            ports.append(int(words[1].rsplit(":", 1)[1]))
        if words[:1] == ["next"]:
            return process, ports
    raise Wrong("the switch did not start: " + Path(folder, "switch.err").read_text())


def shaken(port, folder, *arguments):
    """Whether a handshake comes about, and what s_client says of it."""
    command = ["s_client", "-connect", f"127.0.0.1:{port}", "-servername", NAME]
    command += ["-CAfile", f"{folder}/ours.pem", "-verify_hostname", NAME]
    # A frame longer than any: whom the door lets in it then turns out, and s_client ends well.
    went_well, said = openssl(*command, *arguments, "-ign_eof", given=b"\xff\xff")
    is_up = went_well and "Cipher is (NONE)" not in said and "alert" not in said
    return is_up, said


def weak_versions_and_ciphers(port, folder):
    tried = []
    old = ["-cipher", "ALL:@SECLEVEL=0"]
    for version in ["-tls1", "-tls1_1"]:
        is_up, said = shaken(port, folder, version, *old)
        check(not is_up, f"{version} was spoken: {said}")
        tried.append(version)
    for version in ["-tls1_2", "-tls1_3"]:
        is_up, said = shaken(port, folder, version)
        check(is_up and "Verify return code: 0" in said, f"{version} was not spoken: {said}")
        tried.append(version)
    for weak in ["eNULL", "aNULL", "RC4", "3DES", "kRSA", "SHA1", "SHA256:!ECDHE", "PSK"]:
        cipher = f"{weak}:@SECLEVEL=0"
        is_up, said = shaken(port, folder, "-tls1_2", "-cipher", cipher)
        check(not is_up, f"cipher {weak} was spoken: {said}")
        tried.append(weak)
    return tried


def no_resumption(port, folder):
    for version in ["-tls1_2", "-tls1_3"]:
        session = f"{folder}/session{version}"
        _, said = shaken(port, folder, version, "-sess_out", session)
        # sslyze asks for early data by HTTP, which is none of our messages: a session that could
        # bring some is looked for here. Without a ticket there is nothing to send it with.
        early = re.findall(r"Max Early Data: (\d+)", said)
        check(set(early) <= {"0"}, f"early data would be taken: {early}")
        if not Path(session).exists():
            continue
        _, said = shaken(port, folder, version, "-sess_in", session)
        check("Reused" not in said, f"a session was resumed with {version}")
    # R at the beginning of a line asks s_client to renegotiate.
    command = ["s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2", "-legacy_renegotiation"]
    _, said = openssl(*command, given=b"R\n", seconds=5)
    is_refused = said == NOTHING_CAME or "error" in said.lower()
    check(is_refused, f"it renegotiated: {said}")


def clients(port, folder):
    """Refused or served by the certificate; TLS 1.3 tells a client only with the next record."""
    pairs = {
        "none": None,
        "expired": signed(folder, "clients", "expired", "acquirer.example", expired=True),
        "another authority's": signed(folder, "strangers", "stranger", "acquirer.example"),
        "good": signed(folder, "clients", "client", "acquirer.example"),
    }
    for name, pair in pairs.items():
        shown = ["-cert", pair[0], "-key", pair[1]] if pair else []
        for version in ["-tls1_2", "-tls1_3"]:
            is_up, said = shaken(port, folder, version, *shown)
            check(is_up == (name == "good"), f"client with certificate {name}, {version}: {said}")
    return pairs


def sslyze_agrees(port):
    """What the scanner finds; None where it is not installed."""
    if importlib.util.find_spec("sslyze") is None:
        print("sslyze is not installed (pip install sslyze): this part is left out")
        return None
    import sslyze

    commands = sslyze.ScanCommand
    request = sslyze.ServerScanRequest(
        server_location=sslyze.ServerNetworkLocation("127.0.0.1", port),
        network_configuration=sslyze.ServerNetworkConfiguration(tls_server_name_indication=NAME),
        scan_commands={
            commands.SSL_2_0_CIPHER_SUITES, commands.SSL_3_0_CIPHER_SUITES,
            commands.TLS_1_0_CIPHER_SUITES, commands.TLS_1_1_CIPHER_SUITES,
            commands.TLS_1_2_CIPHER_SUITES, commands.TLS_1_3_CIPHER_SUITES,
            commands.TLS_COMPRESSION, commands.HEARTBLEED, commands.OPENSSL_CCS_INJECTION,
            commands.ROBOT, commands.SESSION_RENEGOTIATION,
        },
    )
    scanner = sslyze.Scanner()
    scanner.queue_scans([request])
    (found,) = list(scanner.get_results())
    result = found.scan_result
    check(result is not None, f"sslyze: {found.connectivity_error_trace}")
    accepted = {}
    for version in ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2", "tls_1_3"]:
        suites = getattr(result, f"{version}_cipher_suites").result.accepted_cipher_suites
        accepted[version] = sorted(suite.cipher_suite.name for suite in suites)
    for version in ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"]:
        check(not accepted[version], f"sslyze: {version} with {accepted[version]}")
    for suite in accepted["tls_1_2"]:
        strong = "ECDHE" in suite and ("GCM" in suite or "CHACHA20" in suite)
        check(strong, f"sslyze: weak suite {suite}")
    check(accepted["tls_1_2"] and accepted["tls_1_3"], "sslyze: 1.2 and 1.3 are not spoken")
    check(not result.tls_compression.result.supports_compression, "sslyze: compression")
    check(not result.heartbleed.result.is_vulnerable_to_heartbleed, "sslyze: Heartbleed")
    ccs = result.openssl_ccs_injection.result
    check(not ccs.is_vulnerable_to_ccs_injection, "sslyze: CCS injection")
    check("NOT_VULNERABLE" in result.robot.result.robot_result.name, "sslyze: ROBOT")
    renegotiation = result.session_renegotiation.result
    is_open = renegotiation.is_vulnerable_to_client_renegotiation_dos
    check(not is_open, "sslyze: a client may renegotiate")
    return accepted


def shown(port, folder, pair):
    command = ["s_client", "-connect", f"127.0.0.1:{port}", "-cert", pair[0], "-key", pair[1]]
    _, said = openssl(*command)
    begin = said.find("-----BEGIN CERTIFICATE-----")
    check(begin >= 0, f"no certificate was shown: {said}")
    return said[begin : said.find("-----END", begin)]


def reload_under_load(binary, process, port, folder, pair):
    command = [str(binary), "acquirer", "load", "--connect", f"127.0.0.1:{port}"]
    command += ["--spec", "iso87-ascii", "--connections", "8", "--rate", "500", "--json"]
    command += ["--cards", str(ROOT / "fixtures" / "demo.toml")]
    command += ["--duration", f"{SECONDS}s", "--warmup", "0s", "--tls-name", NAME]
    command += ["--tls-ca", f"{folder}/ours.pem"]
    command += ["--tls-certificate", pair[0], "--tls-key", pair[1]]
    load = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    reloads = 0
    last = shown(port, folder, pair)
    while load.poll() is None:
        time.sleep(0.5)
        if load.poll() is not None:
            break
        signed(folder, "ours", "renewed", NAME)
        for kind in ["key", "pem"]:
            os.replace(f"{folder}/renewed.{kind}", f"{folder}/switch.{kind}")
        process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while shown(port, folder, pair) == last:
            check(time.monotonic() < deadline, "the old certificate is still shown")
            time.sleep(0.05)
        last = shown(port, folder, pair)
        reloads += 1
    report = json.loads(load.communicate()[0])
    check(load.returncode == 0, f"the load lost messages: {report}")
    check(reloads >= 3, f"only {reloads} reloads")
    return reloads, report


def drill(binary, folder):
    for name in ["ours", "clients", "strangers"]:
        authority(folder, name)
    signed(folder, "ours", "switch", NAME)
    process, (mutual, scanned) = started(binary, folder)
    try:
        evidence = {"tried": weak_versions_and_ciphers(scanned, folder)}
        no_resumption(scanned, folder)
        pairs = clients(mutual, folder)
        evidence["clients"] = list(pairs)
        evidence["sslyze"] = sslyze_agrees(scanned)
        with socket.create_connection(("127.0.0.1", mutual)) as plain:
            plain.settimeout(10)
            plain.sendall(b"\0\x040800")
            answer = plain.recv(64)
            check(answer[:1] in (b"", b"\x15"), f"a plain peer got {answer!r}")
        reloads, report = reload_under_load(binary, process, mutual, folder, pairs["good"])
        evidence |= {"reloads": reloads, "load": report}
        process.send_signal(signal.SIGTERM)
        check(process.wait(30) == 0, f"it ended with {process.returncode}")
        return evidence
    finally:
        process.kill()


def main():
    binary = binary_of(sys.argv[1] if len(sys.argv) > 1 else None)
    if shutil.which("openssl") is None:
        print("skipped: openssl is not installed")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        try:
            evidence = drill(binary, folder)
        except Wrong as wrong:
            print(f"failed: {wrong}")
            return 1
    write_evidence("tls", binary, evidence)
    sslyze = "with sslyze" if evidence["sslyze"] else "without sslyze"
    print(f"passed, {sslyze}: {evidence['reloads']} reloads under {evidence['load']['replies']} "
          "messages over TLS, none lost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
