; svm.asm: a host that runs small guests under SVM and prints how each left, in
; hexadecimal: EXITCODE, EXITINFO1, EXITINFO2, EXITINTINFO, then what its VMCB
; says of RIP RSP RAX RFLAGS CR0 CR2 CR3 CR4 CPL, the interrupt shadow, V_INTR,
; CS, SS and DS. Started as flat_boot.asm does: flat, ring 0, interrupts off.

        bits    32
        org     0x00100000

VMCB    equ     0x00200000
SPARE   equ     0x00201000              ; a second VMCB, for VMLOAD and VMSAVE
HSAVE   equ     0x00202000
IOPM    equ     0x00204000
MSRPM   equ     0x00208000
TABLES  equ     0x00220000              ; the guest's page directory, and after it one table
IDT     equ     0x00230000              ; the guest's
STACK   equ     0x00210000
STACK0  equ     0x00212000              ; of ring 0, when a guest comes from ring 3
SAVE    equ     VMCB + 0x400
SVME    equ     0x1000

%macro CASE 2                           ; four letters, where the guest begins
        call    fresh
        mov     dword [SAVE + 0x178], %2
        mov     dword [name], %1
%endmacro
%macro MISC1 1                          ; a bit of the first word of intercepts
        or      dword [VMCB + 0x00C], 1 << %1
%endmacro
%macro MISC2 1
        or      dword [VMCB + 0x010], 1 << %1
%endmacro
%macro TRAP 1                           ; a vector of the exception bitmap
        or      dword [VMCB + 0x008], 1 << %1
%endmacro

start:  mov     esp, 0x00090000
        lgdt    [gdt_pointer]
        mov     ecx, 0xC0000080
        xor     edx, edx
        mov     eax, SVME
        wrmsr
        mov     ecx, 0xC0010117
        mov     eax, HSAVE
        wrmsr
        mov     edi, TABLES             ; 4 MB, each page at its own address
        mov     dword [edi], TABLES + 0x1007
        mov     edi, TABLES + 0x1000
        mov     eax, 7
.pages: mov     [edi], eax
        add     eax, 0x1000
        add     edi, 4
        cmp     eax, 0x00400000
        jb      .pages

; ---- cases
; ---- instructions
        CASE    'cpui', g_cpuid
        MISC1   18
        call    go
        CASE    'vmmc', g_vmmcall
        call    go
        CASE    'hlt ', g_hlt
        MISC1   24
        call    go
        CASE    'puf ', g_pushf
        MISC1   16
        call    go
        CASE    'pof ', g_popf
        MISC1   17
        call    go
        CASE    'iret', g_iret
        MISC1   20
        call    go
        CASE    'intn', g_int
        MISC1   21
        call    go
        CASE    'rdts', g_rdtsc
        MISC1   14
        call    go
        CASE    'wbin', g_wbinvd
        MISC2   9
        call    go
        CASE    'invl', g_invlpg
        MISC1   25
        call    go
        CASE    'sgdt', g_sgdt
        MISC1   7
        call    go
        CASE    'sidt', g_sidt
        MISC1   6
        call    go
        CASE    'sldt', g_sldt
        MISC1   8
        call    go
        CASE    'str ', g_str
        MISC1   9
        call    go
        CASE    'lgdt', g_lgdt
        MISC1   11
        call    go
        CASE    'lidt', g_lidt
        MISC1   10
        call    go
        CASE    'lldt', g_lldt
        MISC1   12
        call    go
        CASE    'ltr ', g_ltr
        MISC1   13
        call    go
        CASE    'vmrn', g_vmrun
        call    go
        CASE    'vmld', g_vmload
        MISC2   2
        call    go
        CASE    'vmsv', g_vmsave
        MISC2   3
        call    go
        CASE    'stgi', g_stgi
        MISC2   4
        call    go
        CASE    'clgi', g_clgi
        MISC2   5
        call    go
        CASE    'inva', g_invlpga
        MISC1   26
        call    go

; ---- control and debug registers
        CASE    'cr0r', g_read_cr0
        or      dword [VMCB], 1
        call    go
        CASE    'cr3r', g_read_cr3
        or      dword [VMCB], 8
        call    go
        CASE    'cr0w', g_write_cr0
        or      dword [VMCB], 1 << 16
        call    go
        CASE    'cr3w', g_write_cr3
        or      dword [VMCB], 1 << 19
        call    go
        CASE    'cr4w', g_write_cr4
        or      dword [VMCB], 1 << 20
        call    go
        CASE    'sel1', g_write_ts      ; TS alone: runs on to VMMCALL
        MISC1   5
        call    go
        CASE    'sel2', g_write_am
        MISC1   5
        call    go
        CASE    'clts', g_clts
        or      dword [VMCB], 1 << 16
        call    go
        CASE    'lmsw', g_lmsw
        or      dword [VMCB], 1 << 16
        call    go
        CASE    'smsw', g_smsw
        or      dword [VMCB], 1
        call    go
        CASE    'dr7w', g_write_dr7
        or      dword [VMCB + 4], 1 << 23
        call    go
        CASE    'dr6r', g_read_dr6
        or      dword [VMCB + 4], 1 << 6
        call    go

; ---- ports and MSRs
        CASE    'outb', g_outb
        MISC1   27
        or      byte [IOPM + 0x10], 1
        call    go
        CASE    'outn', g_outb          ; another port's bit
        MISC1   27
        or      byte [IOPM + 0x10], 2
        call    go
        CASE    'outw', g_outw          ; the second of two ports
        MISC1   27
        or      byte [IOPM + 0x10], 2
        call    go
        CASE    'ind ', g_ind
        MISC1   27
        or      byte [IOPM + 0x18], 1
        call    go
        CASE    'insb', g_insb
        MISC1   27
        or      byte [IOPM + 0x10], 1
        call    go
        CASE    'outs', g_outsb
        MISC1   27
        or      byte [IOPM + 0x10], 1
        call    go
        CASE    'msrr', g_rdmsr
        MISC1   28
        or      byte [MSRPM + 0x174 / 4], 1
        call    go
        CASE    'msrw', g_wrmsr
        MISC1   28
        or      byte [MSRPM + 0x174 / 4], 2
        call    go
        CASE    'msrn', g_wrmsr         ; reads alone are intercepted
        MISC1   28
        or      byte [MSRPM + 0x174 / 4], 1
        call    go
        CASE    'mefr', g_efer          ; the second range
        MISC1   28
        or      byte [MSRPM + 0x800 + 0x20], 1
        call    go

; ---- exceptions
        CASE    'ud  ', g_ud
        TRAP    6
        call    go
        CASE    'gp  ', g_gp
        TRAP    13
        call    go
        CASE    'de  ', g_de
        TRAP    0
        call    go
        CASE    'pf  ', g_pf
        TRAP    14
        call    paging
        call    go
        CASE    'pfcr', g_pf            ; not intercepted: the guest's own handler, CR2 loaded
        call    paging
        call    go
        CASE    'gpin', g_gp            ; the guest's own handler
        call    go
        CASE    'shut', g_ud            ; no IDT
        MISC1   31
        mov     dword [SAVE + 0x084], 0
        call    go

; ---- rings and modes
        CASE    'usr ', g_hlt           ; #GP comes first
        TRAP    13
        MISC1   24
        call    user
        call    go
        CASE    'ucpu', g_cpuid
        MISC1   18
        call    user
        call    go
        CASE    'uint', g_int           ; from ring 3 to the guest's own handler
        call    user
        call    go
        CASE    'real', 0
        MISC1   18
        call    real
        call    go
        CASE    'v86 ', 0
        MISC1   18
        call    virtual
        call    go
        CASE    'pag ', g_cpuid
        MISC1   18
        call    paging
        call    go

; ---- injection
        CASE    'injg', g_vmmcall       ; #GP(0x1234)
        mov     dword [VMCB + 0x0A8], 0x80000B0D
        mov     dword [VMCB + 0x0AC], 0x1234
        call    go
        CASE    'inje', g_vmmcall       ; an interrupt
        mov     dword [VMCB + 0x0A8], 0x80000030
        call    go
        CASE    'injs', g_vmmcall       ; INT n
        mov     dword [VMCB + 0x0A8], 0x80000480
        call    go
        CASE    'injn', g_vmmcall       ; NMI
        mov     dword [VMCB + 0x0A8], 0x80000202
        call    go
        CASE    'injp', g_vmmcall       ; #PF that CR2 was loaded for
        mov     dword [VMCB + 0x0A8], 0x80000B0E
        mov     dword [VMCB + 0x0AC], 6
        mov     dword [SAVE + 0x240], 0xDEAD0000
        call    go

; ---- virtual interrupts
        CASE    'virq', g_sti           ; after the shadow
        mov     dword [VMCB + 0x060], 0x01010100
        mov     dword [VMCB + 0x064], 0x30
        call    go
        CASE    'vwin', g_sti           ; the window alone
        MISC1   4
        mov     dword [VMCB + 0x060], 0x01010100
        mov     dword [VMCB + 0x064], 0x30
        call    go
        CASE    'vtpr', g_sti           ; V_TPR forbids it
        mov     dword [VMCB + 0x060], 0x01010105
        mov     dword [VMCB + 0x064], 0x30
        call    go
        CASE    'vign', g_sti           ; unless it is ignored
        mov     dword [VMCB + 0x060], 0x01110105
        mov     dword [VMCB + 0x064], 0x30
        call    go
        CASE    'shad', g_sti_cpuid     ; left in the shadow
        MISC1   18
        call    go

; ---- what cannot be entered
        CASE    'isvm', g_cpuid
        mov     dword [SAVE + 0x0D0], 0
        call    go
        CASE    'irun', g_cpuid
        mov     dword [VMCB + 0x010], 2
        call    go
        CASE    'iasd', g_cpuid
        mov     dword [VMCB + 0x058], 0
        call    go
        CASE    'icr0', g_cpuid
        or      dword [SAVE + 0x158], 1 << 29
        call    go
        CASE    'ievt', g_cpuid
        mov     dword [VMCB + 0x0A8], 0x8000010D
        call    go

; ---- end of cases

; ---- VMLOAD and VMSAVE
        mov     edi, SPARE
        mov     ecx, 1024
        xor     eax, eax
        rep     stosd
        mov     word [SPARE + 0x440], 0x23              ; FS
        mov     word [SPARE + 0x442], 0xCF3
        mov     dword [SPARE + 0x444], 0xFFFFFFFF
        mov     dword [SPARE + 0x448], 0x00123000
        mov     word [SPARE + 0x450], 0x23              ; GS
        mov     word [SPARE + 0x452], 0xCF3
        mov     dword [SPARE + 0x454], 0x00FFFFFF
        mov     word [SPARE + 0x470], 0x30              ; LDTR
        mov     word [SPARE + 0x472], 0x082
        mov     dword [SPARE + 0x474], 0x27
        mov     dword [SPARE + 0x478], 0x00300000
        mov     word [SPARE + 0x490], 0x28              ; TR
        mov     word [SPARE + 0x492], 0x08B
        mov     dword [SPARE + 0x494], 0x67
        mov     dword [SPARE + 0x498], tss
        mov     dword [SPARE + 0x628], 8                ; SYSENTER
        mov     dword [SPARE + 0x630], 0x9000
        mov     dword [SPARE + 0x638], 0xA000
        mov     eax, SPARE
        vmload
        call    line
        mov     dword [name], 'load'
        call    title
        mov     eax, [fs:0]                             ; at 00123000h
        call    long_out
        sldt    ax
        call    word_out
        str     ax
        call    word_out
        mov     ecx, 0x176
        rdmsr
        call    long_out
        mov     eax, VMCB
        vmsave
        mov     esi, VMCB + 0x440
        call    words
        mov     esi, VMCB + 0x470
        call    words
        mov     esi, VMCB + 0x490
        call    words
        mov     esi, VMCB + 0x628
        call    words

; ---- the global interrupt flag: a timer's interrupt waits for STGI
        mov     dword [name], 'gif '
        call    line
        call    title
        lidt    [idt_pointer]
        call    controllers
        clgi
        sti
        call    delay
        mov     eax, [ticks]
        call    byte_out                                ; none yet
        stgi
        call    delay
        call    any_since
        cli
        CASE    'intr', g_spin                          ; V_INTR_MASKING, the host's IF set
        MISC1   0
        mov     dword [VMCB + 0x060], 0x01000000
        sti
        call    run
        cli
        call    line
        call    title
        mov     esi, VMCB + 0x070
        call    words
        mov     eax, [ticks]                            ; GIF is 0 again
        mov     [before], eax
        sti
        call    delay
        call    any_since
        stgi
        call    delay
        call    any_since
        cli
        mov     esi, last
.end:   lodsb
        test    al, al
        jz      .halt
        call    character
        jmp     .end
.halt:  cli
        hlt
        jmp     .halt

; ---- a VMCB for a flat guest in ring 0, and an IDT whose gates lead to handlers that do VMMCALL
fresh:  cld
        mov     edi, VMCB
        mov     ecx, 1024
        xor     eax, eax
        rep     stosd
        mov     edi, IOPM
        mov     ecx, 0x6000 / 4
        rep     stosd
        mov     edi, STACK - 64
        mov     ecx, 32
        rep     stosd
        mov     dword [VMCB + 0x010], 3                 ; VMRUN and VMMCALL
        mov     dword [VMCB + 0x040], IOPM
        mov     dword [VMCB + 0x048], MSRPM
        mov     dword [VMCB + 0x058], 1
        mov     dword [VMCB + 0x05C], 1
        mov     dword [SAVE + 0x010], 0x0C9B0008        ; CS
        mov     dword [SAVE + 0x014], 0xFFFFFFFF
        mov     edi, SAVE
        call    .data                                   ; ES
        mov     edi, SAVE + 0x020
        call    .data                                   ; SS
        call    .data                                   ; DS
        mov     dword [SAVE + 0x064], gdt_pointer - gdt - 1
        mov     dword [SAVE + 0x068], gdt
        mov     dword [SAVE + 0x084], 0x7FF
        mov     dword [SAVE + 0x088], IDT
        mov     dword [SAVE + 0x0D0], SVME
        mov     dword [SAVE + 0x158], 0x11
        mov     dword [SAVE + 0x160], 0x400
        mov     dword [SAVE + 0x168], 0xFFFF0FF0
        mov     dword [SAVE + 0x170], 2
        mov     dword [SAVE + 0x1D8], STACK
        mov     dword [SAVE + 0x1F8], 0x11223344
        mov     eax, IDT
        xor     ecx, ecx
.gate:  lea     edx, [handlers + ecx * 8]
        mov     [eax], dx
        mov     word [eax + 2], 8
        mov     word [eax + 4], 0xEE00
        shr     edx, 16
        mov     [eax + 6], dx
        add     eax, 8
        inc     ecx
        cmp     ecx, 256
        jb      .gate
        ret
.data:  mov     dword [edi], 0x0C930010
        mov     dword [edi + 4], 0xFFFFFFFF
        mov     dword [edi + 8], 0
        add     edi, 16
        ret

paging: mov     dword [SAVE + 0x150], TABLES
        mov     dword [SAVE + 0x158], 0x80000011
        ret

user:   mov     dword [SAVE + 0x010], 0x0CFB001B
        mov     dword [SAVE + 0x000], 0x0CF30023
        mov     dword [SAVE + 0x020], 0x0CF30023
        mov     dword [SAVE + 0x030], 0x0CF30023
        mov     byte [SAVE + 0x0CB], 3
        jmp     load_task

real:   mov     dword [SAVE + 0x158], 0x10
        mov     dword [SAVE + 0x010], 0x00938000        ; CS 8000h
        mov     dword [SAVE + 0x014], 0xFFFF
        mov     dword [SAVE + 0x018], 0x80000
        mov     dword [SAVE + 0x178], 0x10
        mov     edi, SAVE
        call    .data
        mov     edi, SAVE + 0x020
        call    .data
        call    .data
        mov     dword [SAVE + 0x1D8], 0x7000
        jmp     copy
.data:  mov     dword [edi], 0x00937000
        mov     dword [edi + 4], 0xFFFF
        mov     dword [edi + 8], 0x70000
        add     edi, 16
        ret
copy:   mov     esi, g_real
        mov     edi, 0x80010
        mov     ecx, g_real_end - g_real
        rep     movsb
        ret

virtual:
        call    real
        mov     dword [SAVE + 0x158], 0x11
        mov     dword [SAVE + 0x170], 0x20002
        mov     byte [SAVE + 0x0CB], 3
        mov     word [SAVE + 0x012], 0x0F3
        mov     word [SAVE + 0x002], 0x0F3
        mov     word [SAVE + 0x022], 0x0F3
        mov     word [SAVE + 0x032], 0x0F3
load_task:
        mov     word [SAVE + 0x090], 0x28
        mov     word [SAVE + 0x092], 0x089              ; QEMU does not know a busy one here
        mov     dword [SAVE + 0x094], 0x67
        mov     dword [SAVE + 0x098], tss
        mov     eax, VMCB
        vmload
        ret

go:     call    run
        stgi
        call    line
        call    title
        mov     eax, [VMCB + 0x070]
        call    long_out
        cmp     dword [VMCB + 0x070], -1                ; never entered: nothing else to say
        je      .done
        mov     ebx, [VMCB + 0x078]
        cmp     dword [VMCB + 0x070], 0x7B
        jne     .first
        and     ebx, ~0x380                             ; QEMU does not tell the address size
.first: mov     eax, ebx
        call    long_out
        mov     eax, [VMCB + 0x07C]
        call    long_out
        mov     eax, [VMCB + 0x080]
        call    long_out
        mov     eax, [VMCB + 0x088]                     ; without V the rest means nothing
        cmp     dword [VMCB + 0x070], 0x7F              ; and of a shutdown it is not defined
        je      .none
        test    eax, eax
        js      .event
.none:
        xor     eax, eax
.event: call    long_out
        mov     esi, show
.next:  lodsd
        test    eax, eax
        jz      .segments
        mov     eax, [eax]
        call    long_out
        jmp     .next
.segments:
        mov     esi, SAVE + 0x010                       ; CS
        call    words
        call    words                                   ; SS
        call    words                                   ; DS
        mov     esi, [SAVE + 0x1D8]                     ; the guest's stack
        cmp     esi, STACK0
        ja      .done
        cmp     esi, STACK - 64
        jae     .stack
        ret
.stack: mov     ecx, 4
.word:  lodsd
        and     eax, ~0x10000                           ; QEMU pushes RF as it was
        call    long_out
        dec     ecx
        jnz     .word
.done:  ret

run:    pushad
        mov     eax, VMCB
        vmrun
        popad
        ret

delay:  mov     ecx, 0x6000                             ; more than one tick
.again: in      al, 0x61
        dec     ecx
        jnz     .again
        ret
any_since:                              ; whether the timer has ticked since the last look
        xor     eax, eax
        mov     ebx, [ticks]
        cmp     ebx, [before]
        mov     [before], ebx
        setne   al
        jmp     byte_out

words:  mov     ecx, 4
.next:  lodsd
        call    long_out
        dec     ecx
        jnz     .next
        ret

line:   mov     al, 10
        jmp     character
title:  mov     ebx, [name]
        mov     ecx, 4
.next:  mov     al, bl
        call    character
        shr     ebx, 8
        dec     ecx
        jnz     .next
        mov     al, ' '
        jmp     character

controllers:
        mov     al, 0x11
        out     0x20, al
        out     0xA0, al
        mov     al, 0x20
        out     0x21, al
        mov     al, 0x28
        out     0xA1, al
        mov     al, 4
        out     0x21, al
        mov     al, 2
        out     0xA1, al
        mov     al, 1
        out     0x21, al
        out     0xA1, al
        mov     al, 0xFE
        out     0x21, al
        mov     al, 0xFF
        out     0xA1, al
        mov     al, 0x34
        out     0x43, al
        mov     al, 0x00
        out     0x40, al
        mov     al, 0x04                                ; about a thousand a second
        out     0x40, al
        mov     edi, own_idt + 0x20 * 8
        mov     eax, tick
        mov     [edi], ax
        mov     word [edi + 2], 8
        mov     word [edi + 4], 0x8E00
        shr     eax, 16
        mov     [edi + 6], ax
        ret
tick:   push    eax
        inc     dword [ticks]
        mov     al, 0x20
        out     0x20, al
        pop     eax
        iretd

%include "print.inc"

; ---- guests
g_cpuid:        cpuid
g_vmmcall:      vmmcall
g_hlt:          hlt
g_pushf:        pushfd
g_popf:         popfd
g_iret:         iretd
g_int:          int     0x80
g_rdtsc:        rdtsc
g_wbinvd:       wbinvd
g_invlpg:       invlpg  [0x1234]
g_sgdt:         sgdt    [STACK]
g_sidt:         sidt    [STACK]
g_sldt:         sldt    ax
g_str:          str     ax
g_lgdt:         lgdt    [gdt_pointer]
g_lidt:         lidt    [idt_pointer]
g_lldt:         lldt    ax
g_ltr:          ltr     ax
g_vmrun:        xor     eax, eax
                vmrun
g_vmload:       xor     eax, eax
                vmload
g_vmsave:       xor     eax, eax
                vmsave
g_stgi:         stgi
g_clgi:         clgi
g_invlpga:      invlpga
g_read_cr0:     mov     eax, cr0
g_read_cr3:     mov     eax, cr3
g_write_cr0:    mov     cr0, eax
                vmmcall
g_write_cr3:    mov     cr3, eax
g_write_cr4:    xor     eax, eax
                mov     cr4, eax
g_write_ts:     mov     eax, 0x1B
                mov     cr0, eax
                vmmcall
g_write_am:     mov     eax, 0x40013
                mov     cr0, eax
                vmmcall
g_clts:         clts
g_lmsw:         lmsw    ax
g_smsw:         smsw    ax
g_write_dr7:    mov     dr7, eax
g_read_dr6:     mov     eax, dr6
g_outb:         out     0x80, al
                vmmcall
g_outw:         out     0x80, ax
                vmmcall
g_ind:          mov     dx, 0xC0
                in      eax, dx
                vmmcall
g_insb:         mov     dx, 0x80
                mov     edi, STACK
                insb
                vmmcall
g_outsb:        mov     dx, 0x80
                mov     ecx, 3
                rep     outsb
                vmmcall
g_rdmsr:        mov     ecx, 0x174
                rdmsr
                vmmcall
g_wrmsr:        mov     ecx, 0x174
                xor     eax, eax
                xor     edx, edx
                wrmsr
                vmmcall
g_efer:         mov     ecx, 0xC0000080
                rdmsr
                vmmcall
g_ud:           ud2
g_gp:           mov     ax, 0x7FF8
                mov     ds, ax
g_de:           xor     ecx, ecx
                div     ecx
g_pf:           mov     [0x00500004], eax
                vmmcall
g_sti:          nop
                sti
                nop
                nop
                vmmcall
g_sti_cpuid:    sti
                cpuid
g_spin:         jmp     g_spin
g_real:         bits    16
                mov     ax, 0x1234
                mov     ds, ax
                cpuid
                bits    32
g_real_end:

        align   8
handlers:
        times   256 db 0x0F, 0x01, 0xD9, 0x90, 0x90, 0x90, 0x90, 0x90   ; VMMCALL

        align   8
gdt:    dd      0, 0
        dd      0x0000FFFF, 0x00CF9B00
        dd      0x0000FFFF, 0x00CF9300
        dd      0x0000FFFF, 0x00CFFB00
        dd      0x0000FFFF, 0x00CFF300
        dd      0, 0x00008B00
        dd      0, 0x00008200
gdt_pointer:
        dw      gdt_pointer - gdt - 1
        dd      gdt
idt_pointer:
        dw      0x7FF
        dd      own_idt
        align   8
tss:    dd      0, STACK0, 0x10
        times   0x68 - 12 db 0
show:   dd      SAVE + 0x178, SAVE + 0x1D8, SAVE + 0x1F8, SAVE + 0x170, SAVE + 0x158, SAVE + 0x240
        dd      SAVE + 0x150, SAVE + 0x148, SAVE + 0x0C8, VMCB + 0x068, VMCB + 0x060, VMCB + 0x0A8, 0
name:   dd      0
ticks:  dd      0
before: dd      0
last:   db      10, "result: done", 10, 0
        align   8
own_idt:
        times   0x800 db 0
end:
