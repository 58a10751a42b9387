; paging.asm: 4 MB pages, PAE and global pages, with every kind of page
; fault, for stepping beside QEMU. Left out, as faults of QEMU 7: the error
; code of a read-modify-write does not say W, that of a reserved bit not P, and the
; four pointers of PAE are read from memory each time, whatever is in them;
; and global pages do not outlive a load of CR3.

        bits    32
        org     0x100000

STACK   equ     0x180000
DIRECTORY equ   0x200000
TABLE   equ     0x201000
POINTERS equ    0x202000
WIDE_DIRECTORY equ 0x203000
WIDE_TABLE equ  0x204000
TARGET  equ     0x500000                ; what the pages under test map

%include "attempts.inc"

%macro TRY_PAGE 1+                      ; an instruction that may fault
        TRY     %1
        mov     edx, cr2
%endmacro
%macro EVERY_WAY 1                      ; of touching an address
        TRY_PAGE mov eax, [%1]
        TRY_PAGE mov [%1], ecx
        TRY_PAGE mov [%1 + 0xFFE], ecx
        TRY_PAGE call user_read
        TRY_PAGE call user_write
%endmacro

start:
        mov     esp, STACK
        OWN_TABLES 8, 0x10
        mov     ax, 0x28
        ltr     ax
        cld
        ; 4 MB pages: the first 4 MB as they are
        mov     dword [DIRECTORY], 0x87
        mov     eax, cr4
        or      eax, 0x10               ; PSE
        mov     cr4, eax
        mov     eax, DIRECTORY
        mov     cr3, eax
        mov     eax, cr0
        or      eax, 0x80010000
        mov     cr0, eax
        mov     esi, 0x800000
        mov     dword [address], 0x800000
%macro LARGE 1                          ; flags of the page at 8 MB
        mov     dword [DIRECTORY + 8], 0x400000 | %1
        invlpg  [esi + 0x123456]
        EVERY_WAY esi
        mov     ebx, [DIRECTORY + 8]
%endmacro
        LARGE   0x80
        LARGE   0x81
        LARGE   0x83
        LARGE   0x85
        LARGE   0x87
        mov     dword [DIRECTORY + 8], 0
        TRY_PAGE mov eax, [esi]         ; stale
        TRY_PAGE mov eax, [esi + 0x3FF000]
        mov     eax, cr3
        mov     cr3, eax
        EVERY_WAY esi
        ; the page may be read by ring 0 only without WP
        mov     eax, cr0
        and     eax, ~0x10000
        mov     cr0, eax
        LARGE   0x81
        or      eax, 0x10000
        mov     eax, cr0
        or      eax, 0x10000
        mov     cr0, eax
        ; without PSE bit 7 is ignored
        mov     edi, TABLE
        mov     eax, 7
        mov     ecx, 1024
.fill:  stosd
        add     eax, 0x1000
        loop    .fill
        mov     dword [DIRECTORY], TABLE | 7
        mov     eax, cr3
        mov     cr3, eax
        ; PAE
        mov     dword [POINTERS], WIDE_DIRECTORY | 1
        mov     dword [WIDE_DIRECTORY], 0x87
        mov     dword [WIDE_DIRECTORY + 8], 0x200087
        mov     dword [WIDE_DIRECTORY + 4 * 8], WIDE_TABLE | 7
        mov     eax, cr0
        and     eax, 0x7FFFFFFF
        mov     cr0, eax
        mov     eax, POINTERS
        mov     cr3, eax
        mov     eax, cr4
        or      eax, 0x20
        mov     cr4, eax
        mov     eax, cr0
        or      eax, 0x80000000
        mov     cr0, eax
%macro WIDE 2                           ; low and high half of the entry at 8 MB
        mov     dword [WIDE_TABLE], %1
        mov     dword [WIDE_TABLE + 4], %2
        invlpg  [esi]
        EVERY_WAY esi
        mov     ebx, [WIDE_TABLE]
%endmacro
        WIDE    0, 0
        WIDE    TARGET | 1, 0
        WIDE    TARGET | 3, 0
        WIDE    TARGET | 5, 0
        WIDE    TARGET | 7, 0
        mov     dword [WIDE_DIRECTORY + 4 * 8], WIDE_TABLE | 3
        WIDE    TARGET | 7, 0
        mov     dword [WIDE_DIRECTORY + 4 * 8], WIDE_TABLE | 5
        WIDE    TARGET | 7, 0
        mov     dword [WIDE_DIRECTORY + 4 * 8], 0x400000 | 0x87
        invlpg  [esi + 0x1000]
        EVERY_WAY esi
        TRY_PAGE mov eax, [0x40000000]
        mov     dword [POINTERS + 8], 0x203001
        mov     ecx, POINTERS
        mov     cr3, ecx
        TRY_PAGE mov eax, [0x40100000]
        ; global pages
        mov     eax, cr4
        or      eax, 0x80
        mov     cr4, eax
        mov     dword [WIDE_DIRECTORY + 4 * 8], WIDE_TABLE | 7
        WIDE    TARGET | 0x107, 0
        mov     dword [WIDE_TABLE], 0
        invlpg  [esi]
        TRY_PAGE mov eax, [esi]
        hlt

user_read:
        mov     bx, 0x23                ; survives the way out
        mov     ds, bx
        push    dword 0x23
        push    dword STACK - 0x1000
        push    dword 2
        push    dword 0x1B
        push    dword .user
        iretd
.user:  mov     ecx, [address]
        mov     eax, [ecx]
        int     0x80
user_write:
        mov     bx, 0x23                ; survives the way out
        mov     ds, bx
        push    dword 0x23
        push    dword STACK - 0x1000
        push    dword 2
        push    dword 0x1B
        push    dword .user
        iretd
.user:  mov     ecx, [address]
        mov     [ecx + 4], eax
        int     0x80

handler:
        mov     ax, 0x10
        mov     ds, ax
        mov     es, ax
        mov     ecx, POINTERS
        mov     esp, STACK
        push    dword 2
        popfd
        jmp     [resume]

        align   8
resume: dd      0
address: dd     0
gdt:    dd      0, 0
        dd      0x0000FFFF, 0x00CF9B00
        dd      0x0000FFFF, 0x00CF9300
        dd      0x0000FFFF, 0x00CFFB00
        dd      0x0000FFFF, 0x00CFF300
        dw      0x67, (tss - $$) & 0xFFFF
        db      0x10, 0x89, 0, 0
gdt_pointer:
        dw      gdt_pointer - gdt - 1
        dd      gdt
        align   8
tss:    dd      0, STACK - 0x800, 0x10
        times   0x68 - ($ - tss) db 0
idt:
%rep 0x81
        dw      (handler - $$) & 0xFFFF, 8
        db      0, 0xEE
        dw      0x10
%endrep
idt_pointer:
        dw      $ - idt - 1
        dd      idt
