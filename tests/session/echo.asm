; echo.asm: says each line again that is typed at its console, until the
; line is "end". The console of the initial domain is the hypervisor's, that
; of any other the page which start_info names.

%include "abi.inc"

VIRQ_CONSOLE    equ     2
CONSOLEIO_read  equ     1
CONSOLE_IN_CONS equ     3072
CONSOLE_IN_PROD equ     3076

_start:
mark_start:
        START_KERNEL
        mov     byte [UPCALL_MASK], 1
        mov     ebx, KERNEL_CODE
        mov     ecx, heard
        mov     edx, KERNEL_CODE
        mov     esi, failsafe
        HYPERCALL HYPERVISOR_set_callbacks
        mov     ebp, [start_info]
        lea     edx, [ebp + START_INFO_CONSOLE + 4]     ; the channel
        test    byte [ebp + START_INFO_FLAGS], SIF_INITDOMAIN
        jz      .listen
        HYPERCALL HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq, bind_console
        mov     edx, bind_port
.listen:
        mov     ecx, edx
        mov     ebx, EVTCHNOP_unmask
        HYPERCALL HYPERVISOR_event_channel_op
        call    console_start
        SAY     text_ready
        call    end_line
mark_ready:

line_next:
        mov     edi, typed
.next:  call    character
        cmp     al, 13
        je      .line
        stosb
        jmp     .next
.line:  mov     byte [edi], 0
        SAY     text_heard
        mov     esi, typed
        call    put_string
        call    end_line
        cmp     dword [typed], "end"
        jne     line_next
        call    print_result
mark_done:
        SHUT_DOWN

; AL = the next character; sleeps until there is one.
character:
        mov     ebp, [start_info]
        test    byte [ebp + START_INFO_FLAGS], SIF_INITDOMAIN
        jz      .page
        HYPERCALL HYPERVISOR_console_io, CONSOLEIO_read, 1, one
        cmp     eax, 1
        je      .one
        jmp     .wait
.page:  mov     edx, [ebp + START_INFO_CONSOLE]
        mov     edx, [MACHINE_TO_PHYSICAL + edx * 4]
        shl     edx, 12
        add     edx, LINK_ADDRESS
        mov     eax, [edx + CONSOLE_IN_CONS]
        cmp     eax, [edx + CONSOLE_IN_PROD]
        je      .wait
        inc     dword [edx + CONSOLE_IN_CONS]
        and     eax, 1023
        mov     al, [edx + eax]
        ret
.wait:  WAIT_FOR_INTERRUPT
        jmp     character
.one:   mov     al, [one]
        ret

; Any event: clear it, and whoever waits looks again.
heard:  mov     byte [UPCALL_PENDING], 0
        mov     dword [PENDING_SELECTOR], 0
        mov     dword [EVENTS_PENDING], 0
        RETURN_FROM_INTERRUPT

text_ready:     db      "say something", 0
text_heard:     db      "heard: ", 0

TRAPS
END_TRAPS

%include "support.inc"

bind_console:   dd      VIRQ_CONSOLE, 0
bind_port:      dd      0
one:            dd      0
typed:          times   128 db 0
        align   PAGE
image_end:
