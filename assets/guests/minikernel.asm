; minikernel: a small operating system, complete in its kind.
;
; Two processes, each with page tables of its own, take turns: the timer
; takes the processor away from them, or they yield it. They ask the
; kernel for services (write, getpid, yield, exit) by INT 0x80, and their
; stacks grow by page faults. So it uses everything that a monitor must
; virtualize: gates, the timer, CR3, page tables, faults, ring crossings.
;
; An entry from ring 3 pushes its frame at the top of the stack that the
; TSS names. The kernel lets the TSS point into the slot of the running
; process, so that the processor itself saves the process there:
;
;       slot + 0    state, page directory, exit value, number
;            + 204  EDI ESI EBP ESP EBX EDX ECX EAX      by PUSHAD
;            + 236  EIP CS EFLAGS ESP SS                 by the processor
;            + 256  the end: TSS.ESP0
;
; The results do not depend on who runs when; the number of ticks does.

%include "abi.inc"

SLOT_RUNS       equ     0               ; 1, or 0 when it has exited
SLOT_SPACE      equ     4               ; page directory, for CR3
SLOT_DIRECTORY  equ     8               ; the same, where the kernel sees it
SLOT_VALUE      equ     12              ; what it passed to exit
SLOT_NUMBER     equ     16
SLOT_REGISTERS  equ     204
SLOT_EAX        equ     232
SLOT_FRAME      equ     236
SLOT            equ     256

USER_PRIVATE    equ     0x00400000      ; a page of its own for each process
STACK_TOP       equ     0x00800000      ; grows down from here,
STACK_LOWEST    equ     0x007F0000      ; not below here

SYSTEM_EXIT     equ     0               ; EBX = value
SYSTEM_WRITE    equ     1               ; EBX = text, ECX = length
SYSTEM_GETPID   equ     2
SYSTEM_YIELD    equ     3
SYSTEM_CALLS    equ     4

LONGEST_WRITE   equ     64

_start:
mark_start:
        START_KERNEL
        call    console_start
        call    paging_start
        mov     ebx, application        ; the programs, shared by both
        mov     ecx, application_end
        call    open_pages
mark_paging:

        mov     ebp, process_1
        mov     ecx, program_primes
        call    create
        mov     ebp, process_2
        mov     ecx, program_stack
        call    create
mark_created:

        call    timer_start
        mov     dword [current], process_2
        call    schedule                ; the next of 2 is 1

; Continue the current process: what was saved comes back.
resume:
        mov     esp, [current]
        add     esp, SLOT_REGISTERS
        popad
        RETURN_FROM_INTERRUPT

; ---- entries from ring 3 ---------------------------------------------

; INT 0x80, a trap gate: a tick may come before the first instruction is
; done, and finds the kernel (see timer_interrupt).
system_call:
        INTERRUPTS_OFF
        pushad
        mov     esp, kernel_stack_top
        mov     ebp, [current]
        mov     dword [ebp + SLOT_EAX], -1      ; unless it succeeds
        cmp     eax, SYSTEM_CALLS
        jae     resume
        jmp     [system_calls + eax * 4]

; Print a text of the program. The kernel must not trust the address: it
; could read with its own rights what the process may not.
system_write:
        cmp     ebx, application
        jb      resume
        cmp     ecx, LONGEST_WRITE
        ja      resume
        lea     edx, [ebx + ecx]
        cmp     edx, application_end
        ja      resume
        mov     [ebp + SLOT_EAX], ecx
        mov     eax, [ebp + SLOT_NUMBER]
        call    put_decimal
        SAY     text_colon
        mov     esi, ebx
        mov     edi, [line_end]
        rep     movsb
        mov     [line_end], edi
        call    end_line
        jmp     resume

system_getpid:
        mov     eax, [ebp + SLOT_NUMBER]
        mov     [ebp + SLOT_EAX], eax
        jmp     resume

system_yield:
        mov     dword [ebp + SLOT_EAX], 0
        call    schedule
        jmp     resume

system_exit:
        mov     [ebp + SLOT_VALUE], ebx
exit:   mov     dword [ebp + SLOT_RUNS], 0
        dec     dword [running]
        jz      finish
        call    schedule
        jmp     resume

; The tick: give the processor to the other process.
timer_interrupt:
        pushad
        test    byte [esp + 32 + 4], 2  ; CS: this bit is set in ring 3
        jz      .kernel
        mov     esp, kernel_stack_top
        TIMER_ACKNOWLEDGE
        inc     dword [ticks]
        mov     ebp, [current]
        call    schedule
        cmp     ebp, [current]
        je      resume
        inc     dword [preemptions]
        jmp     resume
.kernel:                                ; at the door of a system call
        TIMER_ACKNOWLEDGE
        inc     dword [ticks]
        popad
        RETURN_FROM_INTERRUPT

; #PF: an absent page where the stack may grow gets memory. Error code:
; bit 0 = the page was present, bit 1 = a write, bit 2 = from ring 3.
page_fault:
        pop     dword [fault_code]
        pushad
        mov     esp, kernel_stack_top
        mov     ebp, [current]
        FAULT_ADDRESS ebx
        mov     eax, [fault_code]
        and     eax, 5
        cmp     eax, 4
        jne     kill
        cmp     ebx, STACK_LOWEST
        jb      kill
        cmp     ebx, STACK_TOP
        jae     kill
mark_stack_grows:
        call    allocate_page
        call    frame_of
        lea     ecx, [eax + PTE_P + PTE_W + PTE_U]
        and     ebx, ~(PAGE - 1)
        call    set_entry
        inc     dword [stack_faults]
        jmp     resume                  ; the instruction runs again
kill:   SAY     text_killed
        mov     eax, ebx
        call    put_hex
        call    end_line
        mov     dword [ebp + SLOT_VALUE], -1
        jmp     exit

; ---- processes -------------------------------------------------------

; Take the next process that still runs, round and round.
schedule:
        mov     esi, [current]
.next:  add     esi, SLOT
        cmp     esi, processes_end
        jb      .runs
        mov     esi, processes
.runs:  cmp     dword [esi + SLOT_RUNS], 0
        je      .next                   ; one runs, or we were not called
        cmp     esi, [current]
        je      .same
        mov     [current], esi
        inc     dword [switches]
        mov     eax, [esi + SLOT_DIRECTORY]
        mov     [directory], eax
        mov     eax, [esi + SLOT_SPACE]
        ADDRESS_SPACE                   ; the other's memory is gone
        lea     eax, [esi + SLOT]
        KERNEL_STACK eax                ; the next entry saves it here
.same:  ret

; Make the process of slot EBP, to start at ECX.
create:
        mov     dword [ebp + SLOT_RUNS], 1
        mov     [ebp + SLOT_FRAME], ecx
        mov     dword [ebp + SLOT_FRAME + 4], USER_CODE
        mov     dword [ebp + SLOT_FRAME + 8], USER_FLAGS
        mov     dword [ebp + SLOT_FRAME + 12], STACK_TOP
        mov     dword [ebp + SLOT_FRAME + 16], USER_DATA

        ; The table of 0x00400000-0x007FFFFF: its private page at the
        ; lowest address, the first page of the stack at the highest.
        call    allocate_page
        mov     edi, eax
        call    allocate_page
        call    frame_of
        add     eax, PTE_P + PTE_W + PTE_U
        mov     [edi], eax
        call    allocate_page
        call    frame_of
        add     eax, PTE_P + PTE_W + PTE_U
        mov     [edi + 1023 * 4], eax

        ; The directory: the kernel where it is in every address space
        ; (an entry must find it), and that table.
        call    allocate_page
        mov     [ebp + SLOT_DIRECTORY], eax
        mov     ebx, eax
        mov     esi, [directory]
        mov     ecx, LINK_ADDRESS >> 22
.kernel:
        mov     eax, [esi + ecx * 4]
        mov     [ebx + ecx * 4], eax
        inc     ecx
        cmp     ecx, (LINK_ADDRESS >> 22) + KERNEL_ENTRIES
        jb      .kernel
        mov     eax, edi
        call    frame_of
        add     eax, PTE_P + PTE_W + PTE_U
        mov     [ebx + (USER_PRIVATE >> 22) * 4], eax
        mov     eax, ebx
        call    frame_of
        mov     [ebp + SLOT_SPACE], eax
%ifdef XEN
        mov     ecx, edi
        call    seal_tables             ; Xen wants to know its tables
%endif
        ret

; Both have exited.
finish:
mark_finish:
        mov     ebp, processes
.process:
        mov     eax, [ebp + SLOT_NUMBER]
        call    put_decimal
        SAY     text_exited
        mov     eax, [ebp + SLOT_VALUE]
        call    note
        call    put_hex
        call    end_line
        add     ebp, SLOT
        cmp     ebp, processes_end
        jb      .process

        SAY     text_faults
        mov     eax, [stack_faults]
        call    note
        call    put_decimal
        SAY     text_ticks
        mov     eax, [ticks]
        call    put_decimal
        SAY     text_switches
        mov     eax, [switches]
        call    put_decimal
        SAY     text_preemptions
        mov     eax, [preemptions]
        call    put_decimal
        call    end_line
        call    print_result
mark_done:
        SHUT_DOWN

text_colon:             db      ": ", 0
text_exited:            db      ": exit ", 0
text_killed:            db      "killed: it touched ", 0
text_faults:            db      "stack faults ", 0
text_ticks:             db      ", ticks ", 0
text_switches:          db      ", switches ", 0
text_preemptions:       db      ", preemptions ", 0

        align   4
system_calls:   dd      system_exit, system_write
                dd      system_getpid, system_yield
current:        dd      0
running:        dd      2
fault_code:     dd      0
ticks:          dd      0
switches:       dd      0
preemptions:    dd      0
stack_faults:   dd      0

        align   16
processes:
process_1:      dd      0, 0, 0, 0, 1
                times   SLOT - 20 db 0
process_2:      dd      0, 0, 0, 0, 2
                times   SLOT - 20 db 0
processes_end:

TRAPS
        TRAP    14, page_fault, RING_0, INTERRUPT_GATE
        TIMER_TRAP timer_interrupt
        TRAP    0x80, system_call, RING_3, TRAP_GATE
END_TRAPS

%include "timer.inc"
%include "paging.inc"
%include "support.inc"

; ---- ring 3 ----------------------------------------------------------

%macro WRITE 2                          ; text, its end
        mov     eax, SYSTEM_WRITE
        mov     ebx, %1
        mov     ecx, %2 - %1
        int     0x80
%endmacro

PRIMES_BELOW    equ     200
DEPTH           equ     150
PAIRS           equ     20

        align   PAGE
application:

; Process 1 adds up primes, found by division.
program_primes:
        WRITE   app_primes, app_primes_end
        mov     eax, SYSTEM_GETPID
        int     0x80
        mov     [USER_PRIVATE], eax     ; the other writes here as well
        xor     edi, edi
        mov     esi, 2
number: mov     ecx, 2
divide: cmp     ecx, esi
        jae     prime
        mov     eax, esi
        xor     edx, edx
        div     ecx
        test    edx, edx
        jz      composite
        inc     ecx
        jmp     divide
prime:
mark_prime:
        add     edi, esi
composite:
        inc     esi
        cmp     esi, PRIMES_BELOW
        jb      number
        WRITE   app_done, app_done_end
        mov     ebx, [USER_PRIVATE]     ; still what we wrote
        shl     ebx, 24
        or      ebx, edi
        mov     eax, SYSTEM_EXIT
        int     0x80

; Process 2 calls itself down its stack, then computes common divisors.
program_stack:
        WRITE   app_stack, app_stack_end
        mov     eax, SYSTEM_GETPID
        int     0x80
        mov     [USER_PRIVATE], eax
        mov     ecx, DEPTH
        call    descend
        mov     edi, eax
mark_ascended:
        mov     eax, SYSTEM_YIELD       ; let the other work
        int     0x80
        WRITE   app_divisors, app_divisors_end
        mov     esi, PAIRS
first:  mov     ebp, PAIRS
second: mov     eax, esi                ; Euclid: gcd of ESI and EBP
        mov     ecx, ebp
euclid: xor     edx, edx
        div     ecx
        mov     eax, ecx
        mov     ecx, edx
        test    ecx, ecx
        jnz     euclid
        add     edi, eax
        dec     ebp
        jnz     second
mark_row:
        dec     esi
        jnz     first
        WRITE   app_done, app_done_end
        mov     ebx, [USER_PRIVATE]
        shl     ebx, 24
        or      ebx, edi
        mov     eax, SYSTEM_EXIT
        int     0x80

; EAX = ECX + (ECX - 1) + ... + 1, with 128 bytes of stack for each.
descend:
        sub     esp, 128
        mov     [esp], ecx
        mov     eax, 0
        dec     ecx
        jz      .bottom
        call    descend
.bottom:
        add     eax, [esp]
        add     esp, 128
        ret

app_primes:     db      "primes"
app_primes_end:
app_stack:      db      "stack"
app_stack_end:
app_divisors:   db      "divisors"
app_divisors_end:
app_done:       db      "done"
app_done_end:
        align   PAGE
application_end:
image_end:
