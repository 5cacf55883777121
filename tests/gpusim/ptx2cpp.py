#!/usr/bin/env python3
"""ptx2cpp: turns the PTX of a program's own kernels into C++ that runs them on the processor, thread by thread.

    ptx2cpp.py OUT.cpp IN.ptx...

A register becomes a member of a struct, an instruction a statement, a kernel a function for one thread. A kernel with
barriers or warp operations is a coroutine without a stack: it returns at each of them and is entered again behind it.
What a thread may touch is asked of those who run it (kernel_abi.hpp). Written from the public PTX ISA; it knows what
simple kernels use and stops with an error at any other instruction, qualifier or directive.
"""
import re
import sys

from ptx_instructions import BYTES, Kernel, Translator, fail, label, member, register_type


def read_parameters(kernel, text):
    for declaration in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"\.param\s+(?:\.align\s+(\d+)\s+)?\.(\w+)\s+(?:\.ptr[^%]*?\s)?([\w$]+)(?:\[(\d+)\])?",
                             declaration)
        if not match:
            fail("parameter " + declaration)
        size = int(match[4]) if match[4] else BYTES[match[2]]
        align = int(match[1]) if match[1] else size
        begin = -(-kernel.parameter_bytes // align) * align
        kernel.parameter_offsets[match[3]] = begin
        kernel.parameters.append((begin, size))
        kernel.parameter_bytes = begin + size


def read_shared(kernel, arrays, body):
    """The arrays that the kernel names, a gap behind each, so that one cannot be taken for the next."""
    for align, name, size in arrays:
        if re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", body):
            begin = -(-kernel.shared_bytes // align) * align
            kernel.shared[name] = (begin, size)
            kernel.shared_bytes = begin + size + align


def read_body(kernel, body):
    translator = Translator(kernel)
    for line in re.split(r";|(?<=:)\s*\n", body):
        line = " ".join(line.split())
        while match := re.match(r"(\$?[\w$]+):\s*(.*)", line):
            kernel.statements.append(label(match[1]) + ":;")
            line = match[2]
        if not line:
            continue
        if match := re.fullmatch(r"\.reg \.(\w+) (%\w+)<(\d+)>", line):
            kernel.registers |= {member(f"{match[2]}{n}"): register_type(match[1]) for n in range(int(match[3]))}
        elif line.startswith("."):
            if line.split()[0] not in (".pragma", ".loc", ".file", ".shared"):  # read_shared knows the last
                fail("directive " + line)
        else:
            kernel.statements.append(translator.statement(line))


def read_module(text):
    text = re.sub(r"//.*", "", text)
    pattern = r"^\s*\.shared\s+\.align\s+(\d+)\s+\.b8\s+([\w$]+)\[(\d+)\];"
    arrays = [(int(m[1]), m[2], int(m[3])) for m in re.finditer(pattern, text, re.M)]
    kernels = []
    for match in re.finditer(r"\.entry\s+([\w$]+)\s*\((.*?)\)\s*(?:\.\w+[^{]*)?\{(.*?)^\}", text, re.S | re.M):
        kernel = Kernel(match[1])
        read_parameters(kernel, match[2])
        read_shared(kernel, arrays, match[3])
        read_body(kernel, match[3])
        kernels.append(kernel)
    if len(kernels) != len(re.findall(r"\.entry\b", text)):
        fail("the form of an .entry")
    if re.search(r"^\s*(?:\.visible\s+)?\.func\b", text, re.M):
        fail("a function that is not inlined")
    return kernels


def write_kernel(out, number, kernel):
    body = "\n".join(kernel.statements)
    used = set(re.findall(r"R\.r_\w+", body))
    out.write(f"\nnamespace kernel_{number} {{  // {kernel.name}\nstruct Registers {{\n  uint32_t resume = 0;\n"
              "  uint32_t carry = 0;\n")
    for register, cpp in kernel.registers.items():
        if register in used:
            out.write(f"  {cpp} {register[2:]}{{}};\n")
    out.write("};\nStep run(const Launch& L, Thread& T, void* registers) {\n")
    if kernel.stops:
        out.write("  auto& R = *static_cast<Registers*>(registers);\n  switch (R.resume) {\n    case 0: break;\n")
        for stop in range(1, kernel.stops + 1):
            out.write(f"    case {stop}: goto resume_{stop};\n")
        out.write("  }\n")
    else:
        out.write("  Registers R;\n")
    out.write(body + "\n  return Step::done;\n}\n")
    parameters = ", ".join("{%d, %d}" % p for p in kernel.parameters) or "{}"
    arrays = ", ".join("{%d, %d}" % a for a in kernel.shared.values()) or "{}"
    out.write(f"const Parameter parameters[] = {{{parameters}}};\nconst SharedArray arrays[] = {{{arrays}}};\n}}\n")


def write_module(out, kernels):
    out.write('// Made by ptx2cpp.py.\n#include "tests/gpusim/kernel_abi.hpp"\n'
              '#include "tests/gpusim/kernel_math.hpp"\n'
              '#include "tests/gpusim/kernel_memory.hpp"\n\nusing namespace peaknet::gpusim;\n')
    for number, kernel in enumerate(kernels):
        write_kernel(out, number, kernel)
    out.write("\nstatic const Kernel kernels[] = {\n")
    for n, k in enumerate(kernels):
        size = f"sizeof(kernel_{n}::Registers)" if k.stops else "0"
        out.write(f'  {{"{k.name}", kernel_{n}::run, {size}, kernel_{n}::parameters, {len(k.parameters)}, '
                  f"{k.parameter_bytes}, kernel_{n}::arrays, {len(k.shared)}, {k.shared_bytes}, {k.accesses}, "
                  f"{k.wide_divisions}}},\n")
    out.write('};\nextern "C" const Kernel* gpusim_kernels(unsigned* count) {\n'
              "  *count = sizeof kernels / sizeof kernels[0];\n  return kernels;\n}\n")


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    kernels = []
    for path in sys.argv[2:]:
        with open(path, encoding="utf-8") as source:
            kernels += read_module(source.read())
    if not kernels:
        fail("a module without kernels")
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        write_module(out, kernels)


if __name__ == "__main__":
    main()
