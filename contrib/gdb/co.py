"""gdb commands for the coroutines of src/loop/.

    (gdb) source contrib/gdb/co.py
    (gdb) info coroutines        list the live ones
    (gdb) co bt [NUMBER]         back-trace of one, or of all

A suspended coroutine's registers lie in its jump buffer.  glibc on x86-64
mangles rbp, rsp and rip there: rotated left by 17 after an xor with the
thread's pointer guard, which is at fs:0x30.
"""
import gdb

# Places in glibc's __jmp_buf on x86-64, in words.
JB_RBX, JB_RBP, JB_R12, JB_R13, JB_R14, JB_R15, JB_RSP, JB_PC = range(8)
MASK = (1 << 64) - 1


def pointer_guard():
    base = int(gdb.parse_and_eval("(unsigned long)$fs_base"))
    word = gdb.selected_inferior().read_memory(base + 0x30, 8)
    return int.from_bytes(word.tobytes(), "little")


def demangle(value, guard):
    value = ((value >> 17) | (value << 47)) & MASK
    return value ^ guard


def coroutines():
    """All live ones, oldest first."""
    head = gdb.parse_and_eval("co_loop")["live"]
    co_type = gdb.lookup_type("struct co")
    offset = next(f.bitpos // 8 for f in co_type.fields() if f.name == "link")
    node = head["next"]
    while int(node) != int(head.address):
        address = int(node) - offset
        yield gdb.Value(address).cast(co_type.pointer()).dereference()
        node = node["next"]


def is_running(co):
    running = gdb.parse_and_eval("co_loop.running")
    return int(running) == int(co.address)


def registers(co):
    words = co["env"][0]["__jmpbuf"]
    guard = pointer_guard()
    saved = {
        name: int(words[at]) & MASK
        for name, at in (("rbx", JB_RBX), ("r12", JB_R12), ("r13", JB_R13),
                         ("r14", JB_R14), ("r15", JB_R15))
    }
    for name, at in (("rbp", JB_RBP), ("rsp", JB_RSP), ("rip", JB_PC)):
        saved[name] = demangle(int(words[at]) & MASK, guard)
    return saved


def symbol_at(address):
    block = gdb.block_for_pc(address)
    while block is not None and block.function is None:
        block = block.superblock
    return block.function.name if block is not None else hex(address)


def back_trace(co):
    """Borrows the processor's registers; a core file can not lend them."""
    gdb.execute("frame 0", to_string=True)
    saved = registers(co)
    before = {name: int(gdb.parse_and_eval("(unsigned long)$" + name)) & MASK
              for name in saved}
    try:
        for name, value in saved.items():
            gdb.execute("set $%s = %d" % (name, value))
        gdb.execute("bt")
    finally:
        gdb.execute("frame 0", to_string=True)
        for name, value in before.items():
            gdb.execute("set $%s = %d" % (name, value))


class InfoCoroutines(gdb.Command):
    """List the live coroutines: number, job, what ends the wait."""

    def __init__(self):
        super().__init__("info coroutines", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        for number, co in enumerate(coroutines()):
            deadline = int(co["deadline_mono_ms"])
            print("%4d  %s(arg %s)  %s%s  deadline %s" % (
                number, symbol_at(int(co["fn"])), co["arg"],
                "running" if is_running(co) else "waits",
                ", shielded" if co["shielded"] else "",
                "none" if deadline == MASK else "%d ms" % deadline))


class CoPrefix(gdb.Command):
    """Commands about coroutines."""

    def __init__(self):
        super().__init__("co", gdb.COMMAND_STACK, prefix=True)


class CoBackTrace(gdb.Command):
    """Back-trace of coroutine NUMBER of `info coroutines`, or of all."""

    def __init__(self):
        super().__init__("co bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        wanted = int(argument) if argument else None
        for number, co in enumerate(coroutines()):
            if wanted is not None and number != wanted:
                continue
            print("coroutine %d: %s" % (number, symbol_at(int(co["fn"]))))
            if is_running(co):
                print("it is running: bt shows it")
            else:
                back_trace(co)


InfoCoroutines()
CoPrefix()
CoBackTrace()
