; popf: the instruction that betrays trap-and-emulate on the x86.
;
; A kernel may mask interrupts with CLI, or by clearing the interrupt flag
; in a copy of EFLAGS and loading it with POPF. In ring 0 both work. With
; too little privilege CLI faults, so that a monitor can do it for the
; kernel. But POPF does not fault: it loads the other flags and leaves IF
; as it was, silently. Nothing traps, nobody can emulate.
;
; This kernel masks with POPF, reads the flag back with PUSHF, and lets
; timer ticks come due meanwhile. It prints what it expected and what it
; got. Ported to Xen the flag is a byte in shared memory, and works.

%include "abi.inc"

LONGEST_WAIT    equ     3000            ; calls of spin: many ticks' time

_start:
mark_start:
        START_KERNEL
        call    timer_start

        ; How long is a tick? Count turns of the loop until the first.
        INTERRUPTS_ON
        xor     ebp, ebp
.first: cmp     dword [ticks], 0
        jne     .ticked
        call    spin
        inc     ebp
        cmp     ebp, LONGEST_WAIT
        jb      .first
.ticked:
        lea     ebp, [ebp + ebp * 2 + 1]        ; three ticks' time
        INTERRUPTS_ON                   ; here IF = 1, on every machine

mark_mask:
%ifdef XEN
        mov     byte [UPCALL_MASK], 1
        movzx   eax, byte [UPCALL_MASK]
        xor     eax, 1                  ; masked means off
%else
        pushf
        and     dword [esp], ~EFLAGS_IF
        popf                            ; interrupts are off... are they?
        pushf
        pop     eax                     ; ask the processor
        shr     eax, 9
        and     eax, 1                  ; IF is bit 9
%endif
        mov     [if_masked], eax
mark_masked:
        ; Three ticks come due. None may enter while IF = 0.
        mov     eax, [ticks]
        mov     [ticks_before], eax
        mov     ecx, ebp
.masked:
        call    spin
        dec     ecx
        jnz     .masked
        mov     eax, [ticks]
        sub     eax, [ticks_before]
        mov     [ticks_masked], eax

        ; Unmask in the same way. The tick that waited must enter now.
        mov     eax, [ticks]
        mov     [ticks_before], eax
mark_unmask:
%ifdef XEN
        INTERRUPTS_ON
        movzx   eax, byte [UPCALL_MASK]
        xor     eax, 1
%else
        pushf
        or      dword [esp], EFLAGS_IF
        popf
        pushf
        pop     eax
        shr     eax, 9
        and     eax, 1
%endif
        mov     [if_unmasked], eax
mark_unmasked:
        mov     ecx, LONGEST_WAIT       ; others may run meanwhile
.after: mov     eax, [ticks]
        cmp     eax, [ticks_before]
        jne     .entered
        call    spin
        dec     ecx
        jnz     .after
.entered:
        INTERRUPTS_OFF                  ; CLI: this one can be trusted
        mov     eax, [ticks]
        sub     eax, [ticks_before]
        mov     [ticks_unmasked], eax

        ; Report.
        call    console_start
        cmp     dword [ticks], 0
        jne     .ticks
        SAY     text_no_tick
        call    end_line
.ticks: SAY     text_if_masked
        mov     eax, [if_masked]
        mov     ebx, 0
        call    compare
        SAY     text_ticks_masked
        mov     eax, [ticks_masked]
        mov     ebx, 0
        call    compare
        SAY     text_if_unmasked
        mov     eax, [if_unmasked]
        mov     ebx, 1
        call    compare
        SAY     text_ticks_unmasked
        mov     eax, [ticks_unmasked]
        mov     ebx, 1
        call    compare
        mov     esi, text_right
        cmp     dword [wrong], 0
        je      .verdict
        mov     esi, text_wrong
.verdict:
        call    put_string
        call    end_line
        call    print_result
mark_done:
        SHUT_DOWN

; Print EBX, expected, and EAX, got; only none or some is compared.
compare:
        test    eax, eax
        jz      .count
        mov     eax, 1
.count: call    note
        xchg    eax, ebx
        call    put_decimal
        SAY     text_got
        xchg    eax, ebx
        call    put_decimal
        call    end_line
        cmp     eax, ebx
        je      .right
        inc     dword [wrong]
.right: ret

; Let time pass: divisions, because they are slow.
spin:
        mov     ebx, 10
%rep 4
        mov     eax, 1000000000
        xor     edx, edx
        div     ebx
%endrep
        ret

timer_interrupt:
        pushad
        TIMER_ACKNOWLEDGE
        inc     dword [ticks]
        popad
        RETURN_FROM_INTERRUPT

text_no_tick:   db      "no timer tick came at all", 0
text_if_masked: db      "IF masked: expected ", 0
text_ticks_masked:
                db      "tick masked: expected ", 0
text_if_unmasked:
                db      "IF unmasked: expected ", 0
text_ticks_unmasked:
                db      "tick unmasked: expected ", 0
text_got:       db      ", got ", 0
text_right:     db      "the interrupt flag obeys", 0
text_wrong:     db      "the interrupt flag does not obey", 0

        align   4
ticks:          dd      0
ticks_before:   dd      0
if_masked:      dd      0
ticks_masked:   dd      0
if_unmasked:    dd      0
ticks_unmasked: dd      0
wrong:          dd      0

TRAPS
        TIMER_TRAP timer_interrupt
END_TRAPS

%include "timer.inc"
%include "support.inc"

        align   PAGE
image_end:
