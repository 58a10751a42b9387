"""Which exceptions each operation has and in what order, from the instruction pages of SDM Vol. 2.

A line has operations and their checks, first to last; LOCK (#UD) comes before them all, and #AC is the last
of what an operand in memory can raise. Order between classes is that of Vol. 3, "Priority Among Concurrent
Events": what decoding finds (#UD, then #NM) comes before what executing finds.

    ud db     #UD or #DB always                      mode      #UD in real and virtual-8086 mode
    cpl       #GP(0) outside ring 0                  iopl      #GP(0) where CPL > IOPL
    v86       #GP(0) in virtual-8086 mode if IOPL<3  port      #GP(0) if neither IOPL nor the TSS's map does
    gp        #GP(0) always                          real      #GP(0) in real mode
    tsd       #GP(0) outside ring 0 if CR4.TSD       msr       #GP(0) for a number that is none
    cr0 cr4   #GP(0) for a value that cannot be      null-msr  #GP(0) while IA32_SYSENTER_CS is null
    dr4       #UD for DR4 and DR5 if CR4.DE          gd        #DB if DR7.GD
    nm        #NM if CR0.EM or TS                    wait      #NM if CR0.MP and TS
    memory    #GP(0) or #SS(0), #PF, #AC(0) of the operand in memory, if the form has one
    stack     #SS(0), #PF, #AC(0) of a push or a pop
    divide    #DE                                    bounds    #BR
    selector  #GP(selector) beyond the table         aligned   #GP(0) if not at a multiple of 16
"""

from __future__ import annotations

from vizapp.isa.table import CONDITIONS

_TABLE = """
nop pause salc cbw cwd clc stc cmc cld std lahf sahf daa das aaa aas aad bswap lea cpuid |
add adc sub sbb and or xor cmp test inc dec neg not mov xchg xadd cmpxchg cmpxchg8b movzx movsx | memory
rol ror rcl rcr shl shr sar shld shrd bt bts btr btc bsf bsr mul imul setcc cmovcc xlat | memory
movs cmps stos lods scas | memory
div idiv | memory divide
aam | divide
bound | memory bounds
jcc jmp loop loope loopne jcxz |
jmp_indirect | memory
call ret leave enter pusha popa | stack
call_indirect push | memory stack
pop | stack memory
pushf popf | v86 stack
int iret | v86
int1 | db
int3 into |
cli sti | iopl
in out | port
ins outs | port memory
hlt clts invd wbinvd invlpg | cpl
lmsw lgdt lidt | cpl memory
lldt ltr | mode cpl memory selector
sldt str lar lsl verr verw arpl | mode memory
sgdt sidt smsw mov_from_segment | memory
mov_to_segment | memory selector
lds les lfs lgs lss | memory selector
push_segment | stack
pop_segment | stack selector
mov_to_control | cpl cr0
mov_from_control | cpl
mov_to_debug mov_from_debug | dr4 cpl gd
rdtsc | tsd
rdpmc | gp
rdmsr wrmsr | cpl msr
sysenter | real null-msr
sysexit | cpl real null-msr
jmp_far call_far | memory
retf | stack
fwait | wait
esc fninit fnclex | nm
fnstsw fnstcw fldcw | nm memory
fxsave fxrstor | nm aligned memory
ud2 rsm | ud
vmrun vmmcall vmload vmsave stgi clgi invlpga | ud
vmcall vmlaunch vmresume vmxoff vmread vmwrite vmptrld vmclear vmxon vmptrst invept invvpid | ud
"""
_FAMILIES = {"jcc": "j", "setcc": "set", "cmovcc": "cmov"}


def _rules() -> dict[str, tuple[str, ...]]:
    rules: dict[str, tuple[str, ...]] = {}
    for line in _TABLE.strip().splitlines():
        operations, checks = line.split("|")
        for name in operations.split():
            stem = _FAMILIES.get(name)
            for operation in [stem + condition for condition in CONDITIONS] if stem else [name]:
                assert operation not in rules, operation
                rules[operation] = tuple(checks.split())
    return rules


RULES = _rules()
"""Checks by operation, in order."""

_ONLY_READ = """
cmp test bt mul imul div idiv bound lmsw lgdt lidt lldt ltr verr verw jmp_indirect call_indirect push
jmp_far call_far fldcw fxrstor xlat
"""
ONLY_READ = frozenset(_ONLY_READ.split())
"""Operations whose first operand is read and not written."""
