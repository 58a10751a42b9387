"""The guests that are left in every way, and the VMCSs that cannot be entered, for ``oracle.vmx``."""

from __future__ import annotations

from tests.oracle.vmx import (
    CODE,
    EPT,
    EPT_TABLE,
    GDT,
    GUEST_TABLE,
    IDT,
    IO_A,
    IO_B,
    MSRS,
    VALID,
    Case,
)

PRIMARY = {
    "intw": 2, "tsc ": 3, "hlt ": 7, "invl": 9, "rdpm": 11, "rdts": 12, "cr3l": 15, "cr3s": 16, "tprs": 21,
    "nmiw": 22, "movd": 23, "io  ": 24, "iobm": 25, "msrb": 28, "paus": 30, "seco": 31,
}  # fmt: skip
TS = 8


def primary(*names: str, **more: int) -> dict[str, int]:
    bits = sum(1 << PRIMARY[name.ljust(4)] for name in names)
    return {"primary_controls__or": bits, **more}


def secondary(bits: int, **more: int) -> dict[str, int]:
    return primary("seco", secondary_controls=bits, **more)


def exception(vector: int, **more: int) -> dict[str, int]:
    return {"exception_bitmap": 1 << vector, **more}


def inject(info: int, error: int = 0, length: int = 0, **more: int) -> dict[str, int]:
    return {
        "entry_interruption_info": VALID | info,
        "entry_exception_error": error,
        "entry_instruction_length": length,
        **more,
    }


def ept(**more: int) -> dict[str, int]:
    return secondary(2, ept_pointer=EPT | 0x1E, **more)


def outer(**more: int) -> dict[str, int]:
    """A guest that begins at ring 3."""
    fields = {f"guest_{name}_selector": 0x1B if name == "cs" else 0x23 for name in ("es", "cs", "ss", "ds")}
    fields |= {f"guest_{name}_access_rights__or": 0x60 for name in ("es", "cs", "ss", "ds")}
    return fields | {"guest_rsp": 0x8F00} | more


def virtual_8086(**more: int) -> dict[str, int]:
    fields = {"guest_rflags": 0x2_0002, "guest_rip": CODE - 0x7000, "guest_rsp": 0xF00}
    for name in ("es", "cs", "ss", "ds", "fs", "gs"):
        fields |= {
            f"guest_{name}_selector": 0x700,
            f"guest_{name}_base": 0x7000,
            f"guest_{name}_limit": 0xFFFF,
            f"guest_{name}_access_rights": 0xF3,
        }
    return fields | more


def real(**more: int) -> dict[str, int]:
    fields = virtual_8086() | ept() | {"secondary_controls": 0x82, "guest_rflags": 2, "guest_cr0": 0x30}
    for name in ("es", "cs", "ss", "ds", "fs", "gs"):
        fields[f"guest_{name}_access_rights"] = 0x9B if name == "cs" else 0x93
    return fields | {"guest_idtr_base": 0, "guest_idtr_limit": 0x3FF} | more


def page(address: int, entry: int) -> tuple[int, int]:
    """A page of the guest's own table."""
    return GUEST_TABLE + 4 * (address >> 12), entry


def nested(address: int, entry: int) -> tuple[int, int]:
    """A page of the EPT."""
    return EPT_TABLE + 8 * (address >> 12), entry


def gate(vector: int, low: int, high: int) -> tuple[tuple[int, int], ...]:
    return (IDT + 8 * vector, low), (IDT + 8 * vector + 4, high)


OWNED = {"cr0_guest_host_mask": TS, "cr0_read_shadow": 0}
ABSENT = gate(6, 0x0008_A030, 0x0000_6E00)

EXITS: dict[str, Case] = {
    "cpui": Case("mov eax, 5\ncpuid"),
    "invd": Case("invd"),
    "vmca": Case("vmcall"),
    "vml ": Case("vmlaunch"),
    "vmr ": Case("vmresume"),
    "vmxf": Case("vmxoff"),
    "vmxo": Case("vmxon [ebx+esi*4+0x1234]"),
    "vmpl": Case("vmptrld [0x1234]"),
    "vmps": Case("vmptrst [ebp-4]"),
    "vmcl": Case("vmclear [es:edi]"),
    "vmrd": Case("vmread [ebx+esi*4+0x10], edx"),
    "vmr2": Case("vmread ecx, edi"),
    "vmwr": Case("vmwrite ecx, [esp]"),
    "inve": Case("invept ecx, [edx]"),
    "invv": Case("invvpid esi, [fs:8]"),
    "hlt ": Case("hlt", primary("hlt")),
    "hlts": Case("sti\nhlt", primary("hlt")),
    "invl": Case("mov ebx, 0x1000\ninvlpg [ebx+0x234]", primary("invl")),
    "rdts": Case("rdtsc", primary("rdts")),
    "rdpm": Case("rdpmc", primary("rdpm")),
    "paus": Case("pause", primary("paus")),
    "wbin": Case("wbinvd", secondary(1 << 6)),
    "cr3s": Case("mov esi, cr3", primary("cr3s")),
    "cr3l": Case("mov cr3, edi", primary("cr3l")),
    "cr3t": Case(
        "mov eax, cr3\nmov cr3, eax\nmov ebx, 0x7000\nmov cr3, ebx",
        primary("cr3l", cr3_target_count=1, cr3_target_0=0x21_2000),
    ),
    "cr0m": Case("mov eax, cr0\nor al, 8\nmov cr0, eax", OWNED),
    "cr0n": Case("mov eax, cr0\nor al, 2\nmov cr0, eax\nvmcall", OWNED),
    "cr0f": Case("mov eax, cr0\nand al, 0xdf\nmov cr0, eax", exception(13)),
    "cr4m": Case("mov eax, cr4\nor ah, 0x20\nmov cr4, eax"),
    "cr4n": Case("mov eax, cr4\nor al, 8\nmov cr4, eax\nvmcall"),
    "clts": Case("clts", {"cr0_guest_host_mask": TS, "cr0_read_shadow": TS}),
    "clt0": Case("clts\nvmcall", OWNED | {"guest_cr0__or": TS}),
    "lmsw": Case("mov ax, 9\nlmsw ax", OWNED),
    "lmsm": Case("mov word [0x9100], 9\nlmsw [0x9100]", OWNED),
    "lms0": Case("mov ax, 3\nlmsw ax\nvmcall", OWNED),
    "smsw": Case("smsw eax\nmov [0x9000], eax\nmov esp, eax\nvmcall", OWNED | {"guest_cr0__or": TS}),
    "dr  ": Case("mov ebx, dr3", primary("movd")),
    "dr2 ": Case("mov dr6, edx", primary("movd")),
    "drgd": Case("mov eax, dr0", exception(1, guest_dr7=0x2400, entry_controls__or=4, exit_controls__or=4)),
    "in8 ": Case("in al, 0x70", primary("io")),
    "out8": Case("out 0x71, al", primary("io")),
    "in16": Case("mov dx, 0x3f8\nin ax, dx", primary("io")),
    "ou32": Case("mov dx, 0x3f8\nout dx, eax", primary("io")),
    "ins ": Case("mov dx, 0x3f8\nmov edi, 0x9100\ninsb", primary("io")),
    "outs": Case("mov dx, 0x3f8\nmov ecx, 2\nmov esi, 0x9100\nrep outsd", primary("io")),
    "iobm": Case("in al, 0x70", primary("iobm"), ((IO_A + 0x70 // 8, 1),)),
    "iob2": Case("mov dx, 0x8001\nin ax, dx", primary("iobm"), ((IO_B, 4),)),
    "iob0": Case("mov dx, 0x8005\nin al, dx\nvmcall", primary("iobm", "io"), ((IO_B, 4),)),
    "iobw": Case("mov dx, 0xffff\nin ax, dx", primary("iobm")),
    "iopl": Case("in al, 0x70", primary("io") | exception(13) | outer()),
    "rdms": Case("mov ecx, 0x174\nrdmsr"),
    "wrms": Case("mov ecx, 0x174\nwrmsr"),
    "msrb": Case("mov ecx, 0x174\nmov eax, 8\nwrmsr\nrdmsr\nvmcall", primary("msrb")),
    "msrr": Case("mov ecx, 0x174\nrdmsr", primary("msrb"), ((MSRS + 0x2C, 1 << 20),)),
    "msrw": Case("mov ecx, 0x175\nwrmsr", primary("msrb"), ((MSRS + 0x82C, 1 << 21),)),
    "msrh": Case("mov ecx, 0xc0000080\nrdmsr", primary("msrb"), ((MSRS + 0x410, 1),)),
    "msro": Case("mov ecx, 0x40000000\nrdmsr", primary("msrb")),
    "sgdt": Case("sgdt [0x9100]", secondary(4)),
    "lidt": Case("lidt [ebx+8]", secondary(4)),
    "sldt": Case("sldt ax", secondary(4)),
    "str ": Case("str [ecx]", secondary(4)),
    "lldt": Case("lldt bx", secondary(4)),
    "ltr ": Case("ltr [edi*8+4]", secondary(4)),
    "rng1": Case("hlt", primary("hlt") | exception(13) | outer()),
    "rng2": Case("mov eax, cr3", primary("cr3s") | exception(13) | outer()),
    "rng3": Case("cpuid", outer()),
    "rng4": Case("vmcall", outer()),
    "rng5": Case("invd", exception(13) | outer()),
    "rng6": Case("rdmsr", exception(13) | outer()),
    "rngd": Case("mov edx, dr6", primary("movd") | exception(13) | outer()),
    "rngi": Case("db 0xf1", outer(), (page(0x9000, 0x9000),)),
    "rng7": Case("int 0x80", outer()),
    "de  ": Case("div ecx", exception(0)),
    "ud  ": Case("ud2", exception(6)),
    "udno": Case("ud2"),
    "gp  ": Case("int 0x81", exception(13, guest_idtr_limit=0x3FF)),
    "gpds": Case("mov ax, 0x1000\nmov ds, ax", exception(13)),
    "bp  ": Case("int3", exception(3)),
    "of  ": Case("mov al, 127\nadd al, 1\ninto", exception(4)),
    "pf  ": Case("mov eax, [0x9104]", exception(14), (page(0x9000, 0),)),
    "pfw ": Case("mov [0x9104], eax", exception(14, guest_cr0__or=0x10000), (page(0x9000, 0x9005),)),
    "pfm1": Case(
        "mov [0x9104], eax", {"page_fault_error_mask": 2, "page_fault_error_match": 0}, (page(0x9000, 0),)
    ),
    "pfm2": Case(
        "mov [0x9104], eax",
        {"page_fault_error_mask": 2, "page_fault_error_match": 2, "guest_rsp": 0xA000},
        (page(0x9000, 0), page(0x8F000, 7)),
    ),
    "pfm3": Case(
        "mov eax, [0x9104]",
        exception(14, page_fault_error_mask=2, page_fault_error_match=2),
        (page(0x9000, 0),),
    ),
    "2nd ": Case("ud2", exception(11), ABSENT),
    "int1": Case("db 0xf1", exception(13), gate(1, 0x0008_A008, 0x0000_6E00)),
    "inp1": Case("db 0xf1", exception(11), gate(1, 0x0008_A008, 0x0000_6E00)),
    "dfcr": Case("ud2", exception(8, guest_rsp=0x9800), (page(0x9000, 0), page(0x21_5000, 0x21_5007))),
    "df  ": Case("div ecx", exception(8), gate(0, 0x0008_A000, 0x0000_6E00)),
    "trip": Case("ud2", {"guest_idtr_limit": 0}),
    "step": Case("nop", exception(1, guest_rflags=0x102)),
    "intw": Case("nop\nsti\nnop\nnop", primary("intw")),
    "int0": Case("nop", primary("intw", guest_rflags=0x202)),
    "nmiw": Case("nop", primary("nmiw", pin_based_controls__or=0x28)),
    "nmi2": Case(
        "pushfd\npush 8\npush 0x8010\niret\nnop\nnop\nnop\nnop\nnop\nnop\nnop\nnop\nnop\nnop",
        primary("nmiw", pin_based_controls__or=0x28, guest_interruptibility=8),
    ),
    "shad": Case("mov ax, ss\nmov ss, ax\ncpuid"),
    "sha2": Case("mov ax, ss\nmov ss, ax\ncpuid", {"guest_rflags": 0x202}),
    "jtsk": Case("jmp 0x30:0"),
    "ctsk": Case("call 0x30:0"),
    "itsk": Case("int 0x50", {}, gate(0x50, 0x0030_0000, 0x0000_E500)),
    "etsk": Case("ud2", {}, gate(6, 0x0030_0000, 0x0000_E500)),
    "rtsk": Case("iret", {"guest_rflags": 0x4002}, ((0x21_6000, 0x30), (GDT + 0x34, 0x8B21))),
    "v86 ": Case("cpuid", virtual_8086(), bits=16),
    "v86h": Case("hlt", exception(13) | primary("hlt") | virtual_8086(), bits=16),
    "code": Case("cpuid", {"guest_cs_selector": 0x38, "guest_cs_access_rights": 0x809B}, bits=16),
}

INJECTIONS: dict[str, Case] = {
    "iext": Case("nop", inject(0x30, guest_rflags=0x202)),
    "iud ": Case("nop", inject(0x306)),
    "igp ": Case("nop", inject(0xB0D, 0x58)),
    "igpx": Case("nop", inject(0xB0D, 0x58) | exception(13)),
    "iint": Case("nop", inject(0x480, 0, 2)),
    "ibp ": Case("nop", inject(0x603, 0, 1)),
    "ibp3": Case("nop", inject(0x603, 0, 1) | outer()),
    "iin3": Case("nop", inject(0x480, 0, 2) | outer()),
    "ign3": Case("nop", inject(0x406, 0, 2) | outer() | exception(13), gate(6, 0x0008_A030, 0x0000_8E00)),
    "ipf ": Case(
        "nop", inject(0x30, guest_rflags=0x202, guest_rsp=0x9800) | exception(14), (page(0x9000, 0),)
    ),
    "inp ": Case("nop", inject(0x306) | exception(11), ABSENT),
    "inpx": Case("nop", inject(0x30, guest_rflags=0x202) | exception(11), gate(0x30, 0x0008_A180, 0x6E00)),
    "inps": Case("nop", inject(0x430, 0, 2) | exception(11), gate(0x30, 0x0008_A180, 0x6E00)),
    "idf ": Case("nop", inject(0x30D | 0x800, 8) | exception(8), gate(13, 0x0008_A068, 0x6E00)),
    "itri": Case("nop", inject(0xB08), gate(8, 0x0008_A040, 0x6E00)),
    "itsk": Case("nop", inject(0x350 - 0x300 | 0x400, 0, 2), gate(0x50, 0x0030_0000, 0x0000_E500)),
    "ihlt": Case("nop", inject(0x30, guest_rflags=0x202, guest_activity=1)),
    "irea": Case("nop", real() | inject(0x21, guest_rflags=0x202), ((4 * 0x21, 0x0700_1000),), 16),
    "ire6": Case("nop", real() | inject(0x306) | exception(13), ((4 * 6, 0x0700_1000),), 16),
    "ipnd": Case("nop", exception(1, guest_pending_debug_exceptions=1 << 14)),
    "ipn2": Case("nop", exception(1, guest_pending_debug_exceptions=0x1002)),
}

NESTED: dict[str, Case] = {
    "ept ": Case("mov eax, [0x9100]\ncpuid", ept(), (nested(0x9000, 0x8037), (0x8100, 77))),
    **{
        f"e{number}{rights} ": Case(code, ept(), (nested(0x9000, 0x9000 | 0x30 | rights if rights else 0),))
        for number, code in enumerate(
            ("mov eax, [0x9104]", "mov [0x9104], eax", "add [0x9104], eax", "jmp 0x9104")
        )
        for rights in (0, 1, 3, 5)
        if (number, rights) not in ((0, 1), (0, 3), (0, 5), (1, 3), (2, 3), (3, 5))
    },
    "epdi": Case("mov eax, [0x9104]", ept(), (nested(0x21_2000, 0),)),
    "eptt": Case("mov eax, [0x9104]", ept(), (nested(0x21_3000, 0),)),
    "eptd": Case("sgdt [0x9104]\nmov ax, 0x10\nmov ds, ax", ept(), (nested(0x21_4000, 0),)),
    "epti": Case("int 0x80", ept(guest_rsp=0x30800), (nested(0x30000, 0),)),
    "eptg": Case("ud2", ept(), (nested(0x21_5000, 0),)),
    "eptx": Case("nop", ept() | inject(0x30, guest_rflags=0x202, guest_rsp=0x30800), (nested(0x30000, 0),)),
    "emis": Case("mov eax, [0x9104]", ept(), (nested(0x9000, 0x9032),)),
    "emi2": Case("mov eax, [0x9104]", ept(), (nested(0x9000, 0x9017),)),
    "eptb": Case("mov edi, 0x2fff0\nmov ecx, 32\nrep stosb", ept(), (nested(0x30000, 0),)),
    "eptc": Case("mov eax, [0xffe]", ept(), (nested(0x1000, 0),)),
    "real": Case("mov ax, 0x3000\nmov ds, ax\ncpuid", real(), bits=16),
    "rear": Case("mov eax, cr0\nor al, 1\nmov cr0, eax\ncpuid", real(), bits=16),
    "rea6": Case("ud2", real() | exception(6), bits=16),
    "rea7": Case("int 0x21", real(), ((4 * 0x21, 0x0700_1010),), 16),
    "rea8": Case("hlt", real() | {"primary_controls__or": 1 << 31 | 1 << 7}, bits=16),
    "nopg": Case("mov eax, [0x9104]\ncpuid", ept(guest_cr0=0x31) | {"secondary_controls": 0x82}),
}
