; syscall: what a system call costs.
;
; An application makes the emptiest system call N times between two reads
; of the time-stamp counter: INT 0x80, into the kernel, count, IRET. Plain
; trap-and-emulate must reflect the call into the deprivileged kernel and
; emulate its IRET; Xen lets the gate lead straight from ring 3 to ring 1.
;
; Then the same by SYSENTER and SYSEXIT, where the processor has them and
; the kernel has set them up: they read no table, and know ring 0 and ring
; 3 only. A kernel that was moved to ring 1 cannot use them, so the port
; to Xen does without.
;
; The cycles are not part of the result: they are what differs.

%include "abi.inc"

%ifndef ITERATIONS
%define ITERATIONS 200
%endif

SYSTEM_CALL_NULL        equ     0       ; count this call
SYSTEM_CALL_FAST        equ     1       ; EAX = may SYSENTER be used?
SYSTEM_CALL_MEASURED    equ     2       ; ECX:EBX = cycles of INT 0x80
SYSTEM_CALL_FINISH      equ     3       ; ECX:EBX = cycles of SYSENTER

CPUID_SEP       equ     0x0800          ; leaf 1, EDX: SYSENTER exists
SYSENTER_CS     equ     0x174           ; the three MSRs of SYSENTER
SYSENTER_ESP    equ     0x175
SYSENTER_EIP    equ     0x176

_start:
mark_start:
        START_KERNEL
%ifdef XEN
        call    open_application        ; let ring 3 reach its pages
%else
        call    fast_calls_start
%endif
mark_enter_ring_3:
        push    dword USER_DATA
        push    dword app_stack_top
        push    dword USER_FLAGS
        push    dword USER_CODE
        push    dword application
        RETURN_FROM_INTERRUPT

; INT 0x80 through a trap gate: interrupts stay on, so that a plain IRET
; returns from here in every build.
system_call:
        test    eax, eax
        jnz     other_call
        inc     dword [calls]
        iret

other_call:
        cmp     eax, SYSTEM_CALL_MEASURED
        je      measured
        ja      finish
        mov     eax, [fast]
        iret

measured:
mark_measured:
        pushad
        call    console_start
        mov     eax, ebx                ; cycles, ECX:EBX, divided by N
        mov     edx, ecx
        mov     esi, text_operation
        call    print_cycles
        popad
        iret

finish:
        cmp     dword [fast], 0
        je      .result
        mov     eax, ebx
        mov     edx, ecx
        mov     esi, text_fast
        call    print_cycles
.result:
        mov     eax, [calls]
        call    note
        call    print_result
mark_done:
        SHUT_DOWN

%ifndef XEN

; If there is SYSENTER: tell it the kernel's code segment (the stack
; segment is the next in the GDT, and the application's two follow), its
; stack and its entry.
fast_calls_start:
        mov     eax, 1
        cpuid
        test    edx, CPUID_SEP
        jz      .none
        xor     edx, edx
        mov     ecx, SYSENTER_CS
        mov     eax, KERNEL_CODE
        wrmsr
        mov     ecx, SYSENTER_ESP
        mov     eax, kernel_stack_top
        wrmsr
        mov     ecx, SYSENTER_EIP
        mov     eax, fast_call
        wrmsr
        mov     dword [fast], 1
.none:  ret

; SYSENTER has saved nothing: where to return to, EDX, and with which
; stack, ECX, are the application's to say.
fast_call:
        inc     dword [fast_calls]
        sti                             ; SYSENTER has turned them off
        sysexit

%endif

text_operation: db      " system calls, cycles each: ", 0

        align   4
calls:          dd      0
fast_calls:     dd      0
fast:           dd      0

text_fast:      db      " by SYSENTER, cycles each: ", 0

TRAPS
        TRAP    0x80, system_call, RING_3, TRAP_GATE
END_TRAPS

%include "measure.inc"
%include "support.inc"
%ifdef XEN
%include "open_xen.inc"
%endif

; ---- ring 3 ----------------------------------------------------------

        align   PAGE
application:
        mov     eax, SYSTEM_CALL_NULL
        int     0x80                    ; once unmeasured, to warm the TLB
        mov     esi, ITERATIONS
        rdtsc
        mov     edi, eax                ; EBP:EDI = the time before
        mov     ebp, edx
call_again:
        mov     eax, SYSTEM_CALL_NULL
        int     0x80
mark_iteration:
        dec     esi
        jnz     call_again
        rdtsc
        sub     eax, edi                ; the time that passed
        sbb     edx, ebp
        mov     ebx, eax
        mov     ecx, edx
        mov     eax, SYSTEM_CALL_MEASURED
        int     0x80

        mov     eax, SYSTEM_CALL_FAST
        int     0x80
        test    eax, eax
        jz      no_fast_calls
        mov     esi, ITERATIONS
        rdtsc
        mov     edi, eax
        mov     ebp, edx
        mov     ecx, esp                ; SYSEXIT makes this ESP,
fast_again:
        mov     edx, fast_returned      ; and this EIP
        sysenter
fast_returned:
        dec     esi
        jnz     fast_again
        rdtsc
        sub     eax, edi
        sbb     edx, ebp
        mov     ebx, eax
        mov     ecx, edx
no_fast_calls:
        mov     eax, SYSTEM_CALL_FINISH
        int     0x80

        align   16
        times   256 db 0
app_stack_top:
        align   PAGE
application_end:
image_end:
