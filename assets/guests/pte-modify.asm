; pte-modify: what a change of a page table costs.
;
; The kernel changes a page-table entry, N times 16 between two reads of
; the time-stamp counter: a page becomes read-only and writable in turn.
; It does not look at the page meanwhile, so that on the bare machine the
; change is a store to memory and nothing else.
;
; A monitor with shadow tables must hear of it, or its copy would be out
; of date: it write-protects the table, and each store faults, or it waits
; for the INVLPG that the architecture demands. With nested paging the
; tables are the guest's own again. Ported to Xen the kernel asks for each
; change, and Xen checks it.

%include "abi.inc"

%ifndef ITERATIONS
%define ITERATIONS 50
%endif
%define EACH_TURN 16
%define OPERATIONS (ITERATIONS * EACH_TURN)

%macro CHANGE 1                         ; the entry becomes this register
%ifdef XEN
        mov     ecx, %1
        call    set_entry
%else
        mov     [esi], %1
%endif
%endmacro

_start:
mark_start:
        START_KERNEL
        call    paging_start
        mov     eax, page
        call    frame_of
        mov     ecx, eax
        lea     eax, [ecx + PTE_P + PTE_A + PTE_D]
        lea     edx, [ecx + PTE_P + PTE_W + PTE_A + PTE_D]
        mov     [read_only], eax
        mov     [writable], edx
%ifndef XEN
        mov     esi, [directory]
        mov     esi, [esi]              ; the table; ESI = the entry
        and     esi, ~(PAGE - 1)
        add     esi, (page - image_start + LINK_ADDRESS) >> 12 << 2
%endif
        mov     dword [page], 1         ; once unmeasured
        mov     dword [turns], ITERATIONS
        rdtsc
        mov     edi, eax                ; EBP:EDI = the time before
        mov     ebp, edx
        mov     eax, [read_only]
        mov     edx, [writable]
        mov     ebx, page               ; what set_entry is about
change_again:
%rep EACH_TURN / 2
        CHANGE  eax
        CHANGE  edx
%endrep
mark_iteration:
        dec     dword [turns]
        jnz     change_again
        rdtsc
        sub     eax, edi                ; the time that passed
        sbb     edx, ebp

mark_measured:
        call    console_start
        mov     [cycles], eax
        mov     [cycles + 4], edx

        ; The last change was to writable: the page takes a store.
        mov     eax, [writable]
        mov     ecx, eax
        mov     ebx, page
        call    set_entry               ; and now the TLB knows
        mov     dword [page], 2
        ; Read-only: a store faults, and is stepped over.
        mov     ecx, [read_only]
        call    set_entry
store:  mov     dword [page], 3
store_end:
        mov     eax, [cycles]
        mov     edx, [cycles + 4]
        mov     esi, text_operation
        call    print_cycles
        mov     eax, [page]
        call    note
        mov     eax, [faults]
        call    note
        mov     eax, [error_code]       ; 3: not from ring 3, a write, to
        and     eax, 3                  ; a page that is there
        call    note
        call    print_result
mark_done:
        SHUT_DOWN

; #PF through a trap gate. On the stack: error code, EIP, CS, EFLAGS.
page_fault:
        inc     dword [faults]
        pop     dword [error_code]      ; IRET expects EIP on top
        add     dword [esp], store_end - store
        iret

        align   4
read_only:      dd      0
writable:       dd      0
turns:          dd      0
faults:         dd      0
error_code:     dd      0
cycles:         dd      0, 0

text_operation: db      " changes of an entry, cycles each: ", 0

TRAPS
        TRAP    14, page_fault, RING_0, TRAP_GATE
END_TRAPS

%include "measure.inc"
%include "paging.inc"
%include "support.inc"

        align   PAGE
page:
        times   PAGE db 0
image_end:
