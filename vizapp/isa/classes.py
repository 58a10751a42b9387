"""What each instruction is: its privilege class, its price class and the flags that it reads and writes.

Privilege (Popek and Goldberg 1974, for code that believes itself to be at CPL 0 of a stock x86):

    privileged  traps outside CPL 0, or outside IOPL: SDM Vol. 3, "Privileged Instructions", and Vol. 1,
                "I/O Privilege Level" for CLI, STI and port I/O. RDPMC traps while CR4.PCE = 0, as at reset
    sensitive   reads or changes what the monitor must own, and does not trap: SGDT SIDT SLDT STR SMSW and
                PUSHF tell it, POPF and IRET silently keep IF and IOPL, LAR LSL VERR VERW and every use of a
                selector judge by the CPL that really is, a stored CS shows it, INT n and SYSENTER go where
                the processor's own tables say (Robin and Irvine 2000, "Analysis of the Intel Pentium's
                Ability to Support a Secure Virtual Machine Monitor")
    innocuous   the rest. RDTSC traps by CR4.TSD only and CPUID never: what they show is the processor, not
                its privileged state
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from vizapp.isa import registers as r
from vizapp.isa.table import CONDITIONS

Privilege: TypeAlias = Literal["innocuous", "sensitive", "privileged"]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


PRIVILEGED = _names(
    "hlt lgdt lidt lldt ltr lmsw clts invlpg invd wbinvd rdmsr wrmsr rdpmc sysexit rsm "
    "mov_to_control mov_from_control mov_to_debug mov_from_debug cli sti in out ins outs "
    "vmrun vmmcall vmload vmsave stgi clgi invlpga "
    "vmxon vmxoff vmptrld vmptrst vmclear vmread vmwrite vmlaunch vmresume vmcall invept invvpid"
)
SENSITIVE = _names(
    "sgdt sidt sldt str smsw pushf popf iret int int3 into sysenter lar lsl verr verw call_far jmp_far retf "
    "mov_to_segment mov_from_segment push_segment pop_segment lds les lss lfs lgs"
)


def privilege(operation: str) -> Privilege:
    """The class of an ``Opcode.operation``."""
    if operation in PRIVILEGED:
        return "privileged"
    return "sensitive" if operation in SENSITIVE else "innocuous"


LOCKABLE = _names("add adc and btc btr bts cmpxchg cmpxchg8b dec inc neg not or sbb sub xor xadd xchg")
"""What LOCK may precede when the destination is memory; #UD otherwise (SDM Vol. 2, "LOCK")."""

STRINGS = _names("ins outs movs cmps stos lods scas")
"""What REP may precede (SDM Vol. 2, "REP/REPE/REPZ/REPNE/REPNZ")."""

_LETTERS = {
    "o": r.EFLAGS_OF, "s": r.EFLAGS_SF, "z": r.EFLAGS_ZF, "a": r.EFLAGS_AF, "p": r.EFLAGS_PF,
    "c": r.EFLAGS_CF, "d": r.EFLAGS_DF, "i": r.EFLAGS_IF, "t": r.EFLAGS_TF, "n": r.EFLAGS_NT,
    "r": r.EFLAGS_RF, "l": r.EFLAGS_IOPL, "A": r.EFLAGS_AC, "I": r.EFLAGS_ID,
}  # fmt: skip

# SDM Vol. 1, "EFLAGS Cross-Reference": names, flags read, flags written, those of them left undefined.
_FLAGS = """
add sub cmp neg xadd cmpxchg |        | oszapc         |
adc sbb                      | c      | oszapc         |
and or xor test              |        | oszapc         | a
inc dec                      |        | oszap          |
shl shr sar                  |        | oszapc         | oa
shld shrd                    |        | oszapc         | oa
rol ror                      |        | oc             | o
rcl rcr                      | c      | oc             | o
mul imul                     |        | oszapc         | szap
div idiv                     |        | oszapc         | oszapc
bt bts btr btc               |        | osapc          | osap
bsf bsr                      |        | oszapc         | osapc
aaa aas                      | a      | oszapc         | oszp
daa das                      | ac     | oszapc         | o
aam aad                      |        | oszapc         | oac
cmps scas                    | d      | oszapc         |
movs stos lods ins outs      | d      |                |
loope loopne                 | z      |                |
cmpxchg8b lar lsl verr verw arpl |    | z              |
clc stc                      |        | c              |
cmc                          | c      | c              |
salc                         | c      |                |
cld std                      |        | d              |
cli sti                      | l      | i              |
sahf                         |        | szapc          |
lahf                         | szapc  |                |
pushf                        | oszapcditnlAI |         |
popf                         | l      | oszapcditnlAI  |
iret                         | nl     | oszapcditnlrAI |
int int3 int1 sysenter       | oszapcditnlrAI | itnr   |
into                         | oszapcditnlrAI | itnr   |
rsm                          |        | oszapcditnlrAI |
in out                       | l      |                |
"""
_CONDITION_FLAGS = ("o", "c", "z", "cz", "s", "p", "so", "zso")


def _mask(letters: str) -> int:
    total = 0
    for letter in letters:
        total |= _LETTERS[letter]
    return total


def _flag_masks() -> dict[str, tuple[int, int, int]]:
    masks = {}
    for line in _FLAGS.strip().splitlines():
        names, *letters = (part.strip() for part in line.split("|"))
        read, written, undefined = (_mask(part) for part in letters)
        for name in names.split():
            masks[name] = (read, written, undefined)
    for code, condition in enumerate(CONDITIONS):
        for stem in ("j", "set", "cmov"):
            masks[stem + condition] = (_mask(_CONDITION_FLAGS[code >> 1]), 0, 0)
    return masks


_FLAG_MASKS = _flag_masks()


def flags(mnemonic: str) -> tuple[int, int, int]:
    """EFLAGS bits that an instruction may read, may write, and of the written ones leaves undefined."""
    return _FLAG_MASKS.get(mnemonic, (0, 0, 0))


# Price classes: a name of ``machine.inputs``, with the operations of that class. What goes through a gate has
# its transition's name, which the delivery itself charges.
_COSTS = {
    "nop": "nop pause fwait esc",
    "mov": "mov movzx movsx xlat",
    "shift": "rol ror rcl rcr shl shr sar shld shrd",
    "mul": "mul imul",
    "div": "div idiv aam",
    "bit": "bt bts btr btc bsf bsr",
    "stack": "push pop leave",
    "stack_many": "pusha popa enter",
    "branch": "jmp loop loope loopne jcxz into",
    "branch_indirect": "jmp_indirect",
    "call": "call",
    "call_indirect": "call_indirect",
    "ret": "ret",
    "string_iteration": "movs cmps stos lods scas",
    "flags_move": "pushf popf",
    "interrupt_flag": "cli sti",
    "segment_store": "mov_from_segment push_segment",
    "segment_load": "mov_to_segment pop_segment lds les lss lfs lgs",
    "far_transfer": "call_far jmp_far retf",
    "system": (
        "sgdt sidt sldt str smsw lar lsl verr verw arpl invlpg invd wbinvd rsm ud2 "
        "fninit fnclex fnstsw fnstcw fldcw fxsave fxrstor "
        "mov_from_control mov_from_debug vmmcall stgi clgi invlpga "
        "vmxon vmxoff vmcall"
    ),
    "system_load": "lgdt lidt lldt ltr lmsw clts mov_to_control mov_to_debug",
    "cpuid": "cpuid",
    "rdtsc": "rdtsc rdpmc",
    "msr": "rdmsr wrmsr",
    "io": "in out ins outs",
    "hlt": "hlt",
    "vmload_save": "vmload vmsave",
    "vm_entry": "vmrun vmlaunch vmresume",
    "vmread": "vmread",
    "vmwrite": "vmwrite",
    "vmcs_switch": "vmptrld vmptrst vmclear",
    "invept": "invept invvpid",
    "software_interrupt": "int int3 int1",
    "iret_same": "iret",
    "sysenter": "sysenter sysexit",
}
_COST_OF = (
    {name: cost for cost, names in _COSTS.items() for name in names.split()}
    | {"j" + condition: "branch" for condition in CONDITIONS}
    | {"cmov" + condition: "mov" for condition in CONDITIONS}
)
_BY_FORM = frozenset({"alu", "mov", "shift", "mul", "div", "bit"})
_ONLY_READ = _names("cmp test bt bound mul imul div idiv")
_ONLY_WRITTEN = frozenset({"mov", *("set" + condition for condition in CONDITIONS)})


def cost(operation: str) -> str:
    """The price class of an operation between registers."""
    return _COST_OF.get(operation, "alu")


def memory_cost(operation: str, memory_is_first: bool) -> str:
    """The price class of an operation with an operand in memory, its first one or another."""
    base = cost(operation)
    if operation == "xchg":
        return "locked"  # XCHG with memory locks the bus, prefix or not
    if base not in _BY_FORM or operation == "lea":
        return base
    if not memory_is_first or operation in _ONLY_READ:
        return base + "_load"
    return base + ("_store" if operation in _ONLY_WRITTEN else "_rmw")
