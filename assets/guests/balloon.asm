; balloon: a domain whose memory changes while it runs.
;
; Xen's reservation of memory for a domain is only a number. What makes it
; real is a driver in the domain itself, which xenstore tells how much the
; domain shall have: it takes pages from its own kernel, as a balloon that
; is blown up takes room, and gives them back to Xen; or it asks Xen for
; pages and lets the air out.
;
; The pages given back are the last ones, which nothing uses. Page numbers
; stay: the list of machine frames (P2M) says which have memory.
;
; As the initial domain it has nobody to ask: it chooses itself.

%include "abi.inc"

HYPERVISOR_memory_op            equ     12
XENMEM_decrease_reservation     equ     1
XENMEM_populate_physmap         equ     6
%define START_INFO_PAGES        32
LONGEST_WAIT    equ     100             ; ticks of 10 ms
CHOSEN          equ     64              ; pages, when nobody says
NO_FRAME        equ     0xFFFFFFFF
SCRATCH         equ     LINK_ADDRESS + 0x003FF000       ; mapped, unused

%ifndef ITERATIONS
%define ITERATIONS 2                    ; changes of the target
%endif

_start:
mark_start:
        START_KERNEL
        call    console_start
        call    store_client_events
        call    store_client_start
        HYPERCALL HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq, bind_tick
        mov     eax, [bind_tick + 8]    ; Xen's tick, so that we do not wait
        mov     [unmask_tick], eax      ; for ever
        HYPERCALL HYPERVISOR_event_channel_op, EVTCHNOP_unmask, unmask_tick
        mov     ebp, [start_info]
        mov     eax, [ebp + START_INFO_PAGES]
        mov     [pages], eax
        mov     [most], eax
        SAY     text_has
        call    put_decimal
        SAY     text_pages
        call    end_line
        test    byte [ebp + START_INFO_FLAGS], SIF_INITDOMAIN
        jz      watched

        mov     eax, [most]             ; alone: out and in again
        sub     eax, CHOSEN
        call    adjust
        mov     eax, [most]
        call    adjust
        jmp     finish

; A domain U watches its target; the first event comes at once.
watched:
        mov     eax, XS_WATCH
        mov     esi, watch
        mov     ecx, watch_end - watch
        call    store_ask
        jc      failed
        xor     edi, edi                ; changes so far
next:   mov     ebp, LONGEST_WAIT
.look:  call    store_has
        jnz     .message
        call    client_wait
        dec     ebp
        jnz     .look
        SAY     text_late
        call    end_line
        jmp     finish
.message:
        call    store_hear
        mov     eax, XS_READ
        mov     esi, target
        mov     ecx, target_end - target
        call    store_ask
        jc      failed
        call    kilobytes
        shr     eax, 2                  ; to pages
        cmp     eax, [pages]
        je      next                    ; nothing to do
        call    adjust
        inc     edi
        cmp     edi, ITERATIONS
        jb      next
        jmp     finish
failed: SAY     text_failed
        call    end_line

finish:
mark_finish:
        call    print_result
mark_done:
        SHUT_DOWN

; EAX = the number that the string at ESI begins with.
kilobytes:
        xor     eax, eax
.digit: movzx   edx, byte [esi]
        sub     edx, '0'
        cmp     edx, 10
        jae     .done
        imul    eax, eax, 10
        add     eax, edx
        inc     esi
        jmp     .digit
.done:  ret

; Have EAX pages, if that can be.
adjust:
        pushad
        mov     ebp, [start_info]
        mov     ebp, [ebp + START_INFO_MFN_LIST]
.next:  mov     edx, [pages]
        cmp     edx, eax
        je      .done
        jb      .more
        dec     edx                     ; give the last one back
        mov     ecx, [ebp + edx * 4]
        mov     [extent], ecx
        mov     dword [ebp + edx * 4], NO_FRAME
        mov     ecx, XENMEM_decrease_reservation
        call    reserve
        jne     .done
        mov     [pages], edx
        inc     dword [given]
        jmp     .next
.more:  mov     [extent], edx           ; memory for this page number
        mov     ecx, XENMEM_populate_physmap
        call    reserve
        jne     .done                   ; Xen has no more for us
        mov     ecx, [extent]
        mov     [ebp + edx * 4], ecx
        call    use_page
        inc     edx
        mov     [pages], edx
        inc     dword [taken]
        jmp     .next
.done:
mark_adjusted:
        SAY     text_now
        mov     eax, [pages]
        call    note
        call    put_decimal
        SAY     text_given
        mov     eax, [given]
        call    note
        call    put_decimal
        SAY     text_taken
        mov     eax, [taken]
        call    note
        call    put_decimal
        call    end_line
        popad
        ret

; Memory operation ECX for the one extent. Zero flag: it was done.
reserve:
        pushad
        mov     dword [reservation], extent
        HYPERCALL HYPERVISOR_memory_op, ecx, reservation
        cmp     eax, 1
        popad
        ret

; Map frame ECX and see that it is memory, and ours.
use_page:
        pushad
        shl     ecx, 12
        or      ecx, PTE_P | PTE_W | PTE_A | PTE_D
        HYPERCALL HYPERVISOR_update_va_mapping, SCRATCH, ecx, 0, UVMF_INVLPG
        test    eax, eax
        js      .done
        mov     dword [SCRATCH], 0x600DDA7A
        mov     eax, [SCRATCH]
        call    note
        HYPERCALL HYPERVISOR_update_va_mapping, SCRATCH, 0, 0, UVMF_INVLPG
.done:  popad
        ret

text_has:       db      "memory: ", 0
text_pages:     db      " pages", 0
text_now:       db      "pages now ", 0
text_given:     db      ", given back ", 0
text_taken:     db      ", taken ", 0
text_late:      db      "a second has passed, and nothing changed", 0
text_failed:    db      "xenstore has refused", 0
watch:          db      "memory/target", 0, "balloon", 0
watch_end:
target:         db      "memory/target", 0
target_end:

TRAPS
END_TRAPS

%include "store_client.inc"
%include "support.inc"
        STORE_CLIENT_DATA

        align   4
pages:          dd      0               ; that have memory
most:           dd      0
given:          dd      0
taken:          dd      0
extent:         dd      0
bind_tick:      dd      VIRQ_TIMER, 0, 0
unmask_tick:    dd      0
reservation:                            ; struct xen_memory_reservation
                dd      0, 1, 0, 0, DOMID_SELF
        align   PAGE
image_end:
