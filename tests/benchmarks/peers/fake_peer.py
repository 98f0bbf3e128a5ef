"""A process that answers as a peer does, in Python's standard library only.

It says the version of a package to `-c`, and fails if the setting is `broken`.
"""

import sys
import time


def main():
    words = sys.argv[1:]
    if words[0] == "-c":
        print("1.2.3")
        return
    flags = dict(word.removeprefix("--").split("=") for word in words if "=" in word)
    if flags["setting"] == "broken":
        sys.exit("it does not work")
    seconds = {"1": 0.2, "2": 0.1}[flags["setting"]]
    print("a line of the framework")
    print("ready", flush=True)
    for line in sys.stdin:
        time.sleep(0.001)
        print("another line of the framework")
        print(f"seconds {seconds + 0 * int(line)}", flush=True)


main()
