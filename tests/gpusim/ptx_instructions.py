"""What a PTX instruction is in C++: Kernel, what a kernel is translated into, and Translator, a method do_NAME for each
instruction that is known. Written from the public PTX ISA. Whatever is not known ends the program with its text.
"""
import re
import sys
from dataclasses import dataclass, field

CPP = {"u8": "uint8_t", "u16": "uint16_t", "u32": "uint32_t", "u64": "uint64_t",
       "s8": "int8_t", "s16": "int16_t", "s32": "int32_t", "s64": "int64_t",
       "b8": "uint8_t", "b16": "uint16_t", "b32": "uint32_t", "b64": "uint64_t",
       "f32": "float", "f64": "double", "pred": "bool"}
BYTES = {kind: int(kind[1:]) // 8 for kind in CPP if kind != "pred"}
SPECIAL = {f"%{register}.{axis}": f"L.{field}[{i}]"
           for register, field in (("ntid", "block"), ("ctaid", "at"), ("nctaid", "grid"))
           for i, axis in enumerate("xyz")}
SPECIAL |= {f"%tid.{axis}": f"T.id[{i}]" for i, axis in enumerate("xyz")}
SPECIAL["%laneid"] = "T.lane"
COMPARISONS = {"eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"}
UNSIGNED_COMPARISONS = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}
FLOAT = {"add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "div": "{0} / {1}", "rcp": "1 / {0}",
         "sqrt": "std::sqrt({0})", "neg": "-{0}", "abs": "std::fabs({0})"}
SHUFFLES = {"up": "up", "down": "down", "bfly": "butterfly", "idx": "index"}


def fail(what):
    sys.exit(f"ptx2cpp: {what}: not known")


def register_type(kind):
    """Registers are bits, but for predicates and floating ones."""
    return CPP[kind] if kind in ("pred", "f32", "f64") else f"uint{8 * BYTES[kind]}_t"


def member(register):
    return "R.r_" + register.lstrip("%").replace(".", "_").replace("$", "_")


@dataclass
class Instruction:
    text: str
    name: str
    qualifiers: list
    kind: str  # the last qualifier: the type, where there is one
    operands: list

    def only(self, *known):
        """Whatever else it is qualified by would change its meaning."""
        rest = set(self.qualifiers) - set(known) - {self.kind}
        if rest:
            fail(f"{self.text} (.{', .'.join(sorted(rest))})")
        if self.kind and self.kind not in CPP and self.kind not in known:
            fail(self.text)


@dataclass
class Kernel:
    name: str
    parameters: list = field(default_factory=list)  # (offset, bytes)
    parameter_offsets: dict = field(default_factory=dict)
    parameter_bytes: int = 0
    shared: dict = field(default_factory=dict)  # name -> (offset, bytes)
    shared_bytes: int = 0
    registers: dict = field(default_factory=dict)  # name -> type
    statements: list = field(default_factory=list)
    stops: int = 0      # places at which it returns and is entered again
    accesses: int = 0   # loads and stores of global memory
    wide_divisions: int = 0

    def stop(self, step):
        self.stops += 1
        return f"R.resume = {self.stops}; return Step::{step}; resume_{self.stops}:;"


def label(text):
    return "at_" + text.replace("$", "_")


class Translator:
    """The instructions of one kernel. A method do_NAME for each that is known."""

    def __init__(self, kernel):
        self.kernel = kernel

    # --- operands

    def value(self, text, kind):
        cpp = CPP[kind]
        if text in SPECIAL:
            return f"get<{cpp}>({SPECIAL[text]})"
        if text.startswith("%"):
            return f"get<{cpp}>({self.register(text)})"
        if match := re.fullmatch(r"0[fF]([0-9a-fA-F]{8})", text):
            return f"get<{cpp}>(std::bit_cast<float>(0x{match[1]}u))"
        if match := re.fullmatch(r"0[dD]([0-9a-fA-F]{16})", text):
            return f"get<{cpp}>(std::bit_cast<double>(0x{match[1]}ull))"
        if re.fullmatch(r"-?\d+U?|-?0x[0-9a-fA-F]+U?", text):
            number = int(text.rstrip("U"), 0) & (2**64 - 1)
            return f"static_cast<{cpp}>({number}ull)"
        if text in self.kernel.shared:
            return f"static_cast<{cpp}>({self.kernel.shared[text][0]})"
        if text in self.kernel.parameter_offsets:
            return f"static_cast<{cpp}>({self.parameter(text)})"
        fail("operand " + text)

    def register(self, text):
        if member(text) not in self.kernel.registers:
            fail("register " + text)
        return member(text)

    def parameter(self, name):
        return f"reinterpret_cast<uint64_t>(L.params + {self.kernel.parameter_offsets[name]})"

    def address(self, text, space):
        match = re.fullmatch(r"\[([%\w$.]+)(?:\+(-?\d+))?\]", text.replace(" ", ""))
        if not match:
            fail("address " + text)
        base, plus = match[1], int(match[2] or 0)
        if base.startswith("%"):
            begin = f"static_cast<uint64_t>({self.register(base)})"
        elif space == "shared" and base in self.kernel.shared:
            begin = f"{self.kernel.shared[base][0]}ull"
        elif space == "param" and base in self.kernel.parameter_offsets:
            begin = self.parameter(base)
        else:
            fail("address " + text)
        return f"({begin} + static_cast<uint64_t>({plus}ll))"

    def put(self, register, kind, expression):
        return f"put<{CPP[kind]}>({self.register(register)}, {expression});"

    def values(self, i, count, kind=None):
        """The operands behind the result."""
        if len(i.operands) != count + 1:
            fail(i.text)
        return [self.value(operand, kind or i.kind) for operand in i.operands[1:]]

    # --- memory

    def access(self, i, spaces, address, vector):
        """Space, C++ type, address and registers of a load or store, and the check that comes before it."""
        i.only("nc", "v2", "v4", *spaces)
        space = next((s for s in spaces if s in i.qualifiers), None) or fail(i.text)
        registers = [r.strip() for r in vector.strip("{}").split(",")]
        where = self.address(address, space)
        check = ""
        if space == "global":
            write = "true" if i.name == "st" else "false"
            check = (f"begin_access(L, T, {self.kernel.accesses}, {where}, "
                     f"{len(registers) * BYTES[i.kind]}, {write}); ")
            self.kernel.accesses += 1
        places = [f"{where} + {n * BYTES[i.kind]}" for n in range(len(registers))]
        return space, check, list(zip(registers, places))

    def do_ld(self, i):
        space, check, parts = self.access(i, ("global", "shared", "param"), i.operands[1], i.operands[0])
        # The address may lie in a register that the load writes.
        loads = "".join(f"const {CPP[i.kind]} v{n} = load_{space}<{CPP[i.kind]}>(L, T, {place}); "
                        for n, (_, place) in enumerate(parts))
        return check + loads + " ".join(self.put(register, i.kind, f"v{n}") for n, (register, _) in enumerate(parts))

    def do_st(self, i):
        space, check, parts = self.access(i, ("global", "shared"), i.operands[0], i.operands[1])
        return check + " ".join(f"store_{space}<{CPP[i.kind]}>(L, T, {place}, {self.value(register, i.kind)});"
                                for register, place in parts)

    def do_red(self, i):
        """Adds to a word of global memory. A thread is interpreted at a time, so a load and a store cannot be parted."""
        return self.add_to(i, *i.operands)

    def do_atom(self, i):
        return self.add_to(i, *i.operands[1:], i.operands[0])

    def add_to(self, i, address, operand, result=None):
        i.only("global", "add")
        if i.qualifiers[:2] != ["global", "add"] or i.kind not in ("u32", "u64"):
            fail(i.text)
        where = self.address(address, "global")
        check = (f"begin_access(L, T, {self.kernel.accesses}, {where}, {BYTES[i.kind]}, true); ")
        self.kernel.accesses += 1
        cpp = CPP[i.kind]
        return (check + f"const uint64_t at = {where}; const {cpp} old = load_global<{cpp}>(L, T, at); "
                f"store_global<{cpp}>(L, T, at, old + {self.value(operand, i.kind)});" +
                (" " + self.put(result, i.kind, "old") if result else ""))

    # --- moving and converting

    def do_mov(self, i):
        i.only()
        to, source = i.operands
        if i.kind == "b64" and source.startswith("{"):  # two halves, the low one first
            low, high = (self.value(part.strip(), "u32") for part in source.strip("{}").split(","))
            return self.put(to, "b64", f"uint64_t{{{high}}} << 32 | {low}")
        if i.kind == "b64" and to.startswith("{"):
            low, high = (part.strip() for part in to.strip("{}").split(","))
            return (f"const uint64_t whole = {self.value(source, 'u64')}; " +
                    self.put(low, "u32", "static_cast<uint32_t>(whole)") + " " +
                    self.put(high, "u32", "static_cast<uint32_t>(whole >> 32)"))
        return self.put(to, i.kind, self.value(source, i.kind))

    def do_cvta(self, i):
        i.only("to", "global", "shared")
        return self.put(i.operands[0], "u64", self.value(i.operands[1], "u64"))

    def do_cvt(self, i):
        to, source = i.qualifiers[-2:]
        rounding = set(i.qualifiers[:-2])
        if to not in CPP or source not in CPP or not rounding <= {"rn", "rzi"}:
            fail(i.text)
        if to[0] == "f" and rounding == {"rzi"} or to[0] != "f" and rounding == {"rn"}:
            fail(i.text)
        return self.put(i.operands[0], to, f"convert<{CPP[to]}>({self.value(i.operands[1], source)})")

    def do_selp(self, i):
        i.only()
        return self.put(i.operands[0], i.kind, f"{self.value(i.operands[3], 'pred')} ? "
                        f"{self.value(i.operands[1], i.kind)} : {self.value(i.operands[2], i.kind)}")

    # --- arithmetic

    def floating(self, i):
        i.only("rn")
        return self.put(i.operands[0], i.kind, FLOAT[i.name].format(*self.values(i, len(i.operands) - 1)))

    do_rcp = do_sqrt = floating

    def do_fma(self, i):
        i.only("rn")
        return self.put(i.operands[0], i.kind, "std::fma({}, {}, {})".format(*self.values(i, 3)))

    def with_carry(self, i):
        if i.kind[0] == "f":
            return self.floating(i)
        i.only("cc")
        kind = "u" + i.kind[1:]
        a, b = self.values(i, 2, kind)
        taken = "R.carry" if i.name.endswith("c") else "0"
        given = "&R.carry" if "cc" in i.qualifiers else "nullptr"
        return self.put(i.operands[0], kind, f"{i.name[:3]}_carry<{CPP[kind]}>({a}, {b}, {taken}, {given})")

    do_add = do_sub = do_addc = do_subc = with_carry

    def product(self, i):
        if i.kind[0] == "f":
            return self.do_fma(i) if i.name == "mad" else self.floating(i)
        i.only("wide", "hi", "lo")
        unsigned = "u" + i.kind[1:]
        if "wide" in i.qualifiers:
            kind = i.kind[0] + str(2 * int(i.kind[1:]))
            a, b = (f"static_cast<{CPP[kind]}>({self.value(x, i.kind)})" for x in i.operands[1:3])
            added = f" + {self.value(i.operands[3], kind)}" if i.name == "mad" else ""
            return self.put(i.operands[0], kind, f"{a} * {b}{added}")
        if "hi" in i.qualifiers:
            if i.name == "mad":
                fail(i.text)
            return self.put(i.operands[0], i.kind, "mul_hi({}, {})".format(*self.values(i, 2)))
        a, b, *rest = self.values(i, len(i.operands) - 1, unsigned)
        return self.put(i.operands[0], unsigned, f"static_cast<{CPP[unsigned]}>({' + '.join([f'{a} * {b}', *rest])})")

    do_mul = do_mad = product

    def quotient(self, i):
        if i.kind[0] == "f":
            return self.floating(i)
        i.only()
        self.kernel.wide_divisions += BYTES[i.kind] == 8
        a, b = self.values(i, 2)
        return self.put(i.operands[0], i.kind, f"{i.name}_int(T, {a}, {b})")

    do_div = do_rem = quotient

    def extreme(self, i):
        i.only()
        if i.kind[0] == "f":
            fail(i.text)  # of a NaN it gives the other one
        return self.put(i.operands[0], i.kind, "std::{}({}, {})".format(i.name, *self.values(i, 2)))

    do_min = do_max = extreme

    def do_neg(self, i):
        if i.kind[0] == "f":
            return self.floating(i)
        i.only()
        return self.put(i.operands[0], i.kind, f"static_cast<{CPP[i.kind]}>(0 - {self.value(i.operands[1], i.kind)})")

    def do_abs(self, i):
        return self.floating(i) if i.kind[0] == "f" else fail(i.text)

    # --- bits

    def shift(self, i):
        i.only()
        amount = self.value(i.operands[2], "u32")
        return self.put(i.operands[0], i.kind,
                        f"{i.name}_clamped<{CPP[i.kind]}>({self.value(i.operands[1], i.kind)}, {amount})")

    do_shl = do_shr = shift

    def do_shf(self, i):
        i.only("l", "r", "wrap")
        side = "left" if "l" in i.qualifiers else "right"
        return self.put(i.operands[0], "b32", "funnel_{}({}, {}, {})".format(side, *self.values(i, 3)))

    def logic(self, i):
        i.only()
        a, b = self.values(i, 2)
        sign = {"and": "&", "or": "|", "xor": "^"}[i.name]
        return self.put(i.operands[0], i.kind, f"static_cast<{CPP[i.kind]}>({a} {sign} {b})")

    do_and = do_or = do_xor = logic

    def do_not(self, i):
        i.only()
        (a,) = self.values(i, 1)
        return self.put(i.operands[0], i.kind, f"!{a}" if i.kind == "pred" else f"static_cast<{CPP[i.kind]}>(~{a})")

    def do_bfi(self, i):
        i.only()
        a, b = (self.value(x, i.kind) for x in i.operands[1:3])
        at, length = (self.value(x, "u32") for x in i.operands[3:5])
        return self.put(i.operands[0], i.kind, f"bit_insert<{CPP[i.kind]}>({a}, {b}, {at}, {length})")

    def count(self, i):
        i.only()
        (a,) = self.values(i, 1)
        return self.put(i.operands[0], "u32", f"static_cast<uint32_t>(std::{i.name}({a}))")

    def do_clz(self, i):
        return self.count(i).replace("std::clz", "std::countl_zero")

    def do_popc(self, i):
        return self.count(i).replace("std::popc", "std::popcount")

    # --- flow

    def do_setp(self, i):
        comparison = i.qualifiers[0]
        if comparison in UNSIGNED_COMPARISONS and i.kind[0] == "u":
            comparison = UNSIGNED_COMPARISONS[comparison]
        if len(i.qualifiers) != 2 or comparison not in COMPARISONS:
            fail(i.text)
        return self.put(i.operands[0], "pred", "compare_{}({}, {})".format(comparison, *self.values(i, 2)))

    def do_bra(self, i):
        i.only("uni")
        return f"goto {label(i.operands[0])};"

    def do_ret(self, i):
        i.only()
        return "return Step::done;"

    do_exit = do_ret

    # --- together

    def do_bar(self, i):
        if i.qualifiers == ["warp", "sync"]:
            return self.warp_operation("sync", self.value(i.operands[0], "u32"), "0")
        if i.qualifiers != ["sync"] or i.operands != ["0"]:
            fail(i.text)
        return self.kernel.stop("barrier")

    def do_barrier(self, i):
        if i.qualifiers not in (["sync"], ["sync", "aligned"]) or i.operands != ["0"]:
            fail(i.text)
        return self.kernel.stop("barrier")

    def warp_operation(self, kind, mask, value, b="0", c="0"):
        return (f"T.waits_for = {{WarpOperation::Kind::{kind}, {mask}, {value}, {b}, {c}}}; " +
                self.kernel.stop("warp"))

    def do_vote(self, i):
        if i.qualifiers[0] != "sync" or i.qualifiers[1:] not in (["ballot", "b32"], ["any", "pred"], ["all", "pred"]):
            fail(i.text)
        vote = i.operands[1]
        said = f"!{self.value(vote[1:].strip(), 'pred')}" if vote.startswith("!") else self.value(vote, "pred")
        wait = self.warp_operation(i.qualifiers[1], self.value(i.operands[2], "u32"), f"static_cast<uint32_t>({said})")
        result = "T.result" if i.kind == "b32" else "T.result != 0"
        return wait + " " + self.put(i.operands[0], i.kind, result)

    def do_shfl(self, i):
        if len(i.qualifiers) != 3 or i.qualifiers[0] != "sync" or i.qualifiers[1] not in SHUFFLES or i.kind != "b32":
            fail(i.text)
        to, _, in_range = i.operands[0].partition("|")
        a, b, c, mask = (self.value(x, "u32") for x in i.operands[1:5])
        wait = self.warp_operation(SHUFFLES[i.qualifiers[1]], mask, a, b, c)
        second = " " + self.put(in_range, "pred", "T.in_range") if in_range else ""
        return wait + " " + self.put(to, "b32", "T.result") + second

    def statement(self, line):
        guard = ""
        if match := re.match(r"@(!?)(%\w+) (.*)", line):
            guard, line = f"if ({match[1]}{self.register(match[2])}) ", match[3]
        word, _, rest = line.partition(" ")
        name, *qualifiers = word.split(".")
        operands = [x.strip() for x in re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,\s][^,]*", rest)]
        kind = qualifiers[-1] if qualifiers and qualifiers[-1] in CPP else ""
        translate = getattr(self, "do_" + name, None) or fail("instruction " + line)
        return guard + "{ " + translate(Instruction(line, name, qualifiers, kind, operands)) + " }"
