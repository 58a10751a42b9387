; hello: the first thing that a kernel does.
;
; It gives the processor its tables (segments, interrupt gates, the stack
; for entries from ring 3), greets on the serial port and on the text
; screen, and halts. LGDT, LIDT, LTR, OUT, CLI and HLT are privileged: in
; ring 0 each is one instruction, under a monitor each is a door.
;
; Ported to Xen the tables are hypercalls and the processor's segments
; are Xen's. There is no screen: a domain has only its console.

%include "abi.inc"

_start:
mark_start:
%ifdef XEN
        cld
        mov     esp, kernel_stack_top
        mov     [start_info], esi       ; Xen's boot record
        call    map_shared_info
        HYPERCALL HYPERVISOR_set_trap_table, trap_table
        HYPERCALL HYPERVISOR_stack_switch, KERNEL_DATA, kernel_stack_top
%else
        cli                             ; no interrupt before the tables
        cld
        mov     esp, kernel_stack_top   ; the loader gave us no stack
        lgdt    [gdt_pointer]           ; our segments, from now on
        jmp     KERNEL_CODE:.segments   ; only a far jump loads CS
.segments:
        mov     eax, KERNEL_DATA
        mov     ss, ax
        mov     ds, ax
        mov     es, ax
        lidt    [idt_pointer]           ; our handlers
        mov     eax, TASK_STATE
        ltr     ax                      ; our stack for ring 3 entries
%endif
mark_tables:
        call    console_start
        SAY     text_hello
        call    end_line
mark_greeted:

        ; The checksum of the greeting, a byte at a time.
        mov     esi, text_hello
        xor     eax, eax
.byte:  lodsb
        test    al, al
        jz      .sum
        call    note
        jmp     .byte
.sum:

%ifndef XEN
        ; The text screen is memory: a character and a colour a cell.
        mov     esi, text_hello
        mov     edi, 0xB8000
        mov     ah, 0x1F                ; white on blue
.cell:  lodsb
        test    al, al
        jz      .shown
        stosw
        jmp     .cell
.shown:
%endif

        call    print_result
mark_done:
        SHUT_DOWN

; No exception is expected: whatever comes ends the guest.
unexpected:
        SAY     text_unexpected
        call    end_line
        SHUT_DOWN

text_hello:             db      "Hello from the kernel", 0
text_unexpected:        db      "unexpected exception", 0

TRAPS
        TRAP    6, unexpected, RING_0, INTERRUPT_GATE
        TRAP    13, unexpected, RING_0, INTERRUPT_GATE
        TRAP    14, unexpected, RING_0, INTERRUPT_GATE
END_TRAPS

%include "support.inc"

        align   PAGE
image_end:
