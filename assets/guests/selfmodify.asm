; selfmodify: kernel code that changes kernel code.
;
; A processor executes what is in memory. A monitor that executes a
; translation of it has to notice every change: of a number inside an
; instruction, of the very next instruction, and of a buffer into which
; one function after another is copied.

%include "abi.inc"

%ifndef ITERATIONS
%define ITERATIONS 20
%endif

_start:
mark_start:
        START_KERNEL

        ; A number inside an instruction, changed before each execution.
        mov     ebp, ITERATIONS
        xor     ebx, ebx
number:
        mov     [patched + 1], ebp
patched:
        mov     eax, 0                  ; B8, then the number
        add     ebx, eax
        dec     ebp
        jnz     number
        mov     eax, ebx
        call    note
mark_number:

        ; The instruction behind the one that writes: INC or DEC of EBX.
        mov     ebp, ITERATIONS
        mov     ebx, 1000
next:
        mov     al, 0x43                ; inc ebx
        test    ebp, 3
        jnz     .write
        mov     al, 0x4B                ; dec ebx
.write: mov     [.here], al
.here:  nop
        dec     ebp
        jnz     next
        mov     eax, ebx
        call    note
mark_next:

        ; A buffer that holds first one function and then the other.
        mov     ebp, ITERATIONS
        xor     ebx, ebx
copies:
        mov     esi, double
        test    ebp, 1
        jz      .copy
        mov     esi, negate
.copy:  mov     edi, buffer
        mov     ecx, FUNCTION
        rep     movsb
        lea     eax, [ebx + ebp]
        call    buffer
        xchg    ebx, eax
        dec     ebp
        jnz     copies
        mov     eax, ebx
        call    note
mark_copies:
        call    console_start
        SAY     text_done
        call    end_line
        call    print_result
mark_done:
        SHUT_DOWN

FUNCTION        equ     8

double: add     eax, eax
        ret
        times   FUNCTION - ($ - double) db 0x90
negate: neg     eax
        dec     eax
        ret
        times   FUNCTION - ($ - negate) db 0x90
buffer: times   FUNCTION db 0x90

text_done:      db      "code changed as it ran", 0

TRAPS
END_TRAPS

%include "support.inc"

        align   PAGE
image_end:
