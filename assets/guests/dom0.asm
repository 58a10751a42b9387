; dom0: domain 0 of Xen, the initial domain. The hypervisor drives no disk
; and no network, and builds no other domain: this kernel does, in ring 1,
; with the right to ask the hypervisor for it.
;
;   dom0_memory, dom0_text      its pages, and a window for those of others
;   dom0_events                 event channels, and the loop
;   dom0_tree, dom0_store       xenstore, where domains and their devices
;   dom0_wire, dom0_requests    find each other
;   dom0_watch, dom0_transaction
;   dom0_archive, dom0_builder  makes domains of what lies behind the kernel
;   dom0_image
;   dom0_hvm                    and those that were not written for Xen
;   dom0_domains, dom0_life     what becomes of them; their consoles,
;   dom0_console                and what is typed for them
;   dom0_orders                 what is done to them, and when
;   dom0_back, dom0_xenbus      back ends: of disks
;   dom0_grants
;   dom0_block, dom0_disk
;   dom0_net, dom0_bridge       and of network adapters
;   dom0_adapter
;   dom0_process, dom0_space    processes, in ring 3
;   dom0_system
;   dm, dm_serial, dm_platform  which are the device models of HVM domains
;   dm_vga
;
; It ends when the last of its domains has ended.

%include "abi.inc"
%include "dom0_abi.inc"
%define OWN_INTERRUPTS                  ; of the drivers that we include
%define OWN_BUS_ADDRESS

_start:
mark_start:
        START_KERNEL
        mov     byte [UPCALL_MASK], 1   ; the loop looks for events itself
        mov     esp, dom0_stack_top
        call    memory_start
        call    events_start
        call    process_start
        mov     eax, root_node          ; the root is a block, as all nodes
        xor     ebx, ebx
        call    tree_copy
        mov     [store_root], eax
        mov     [tree], eax
        SAY     text_hello
        call    end_line
mark_started:

        call    store_test
        call    note
        mov     eax, [test_count]
        call    note
        call    put_decimal
        SAY     text_tests
        mov     eax, [test_wrong]
        call    put_decimal
        call    end_line
mark_tested:
        HYPERCALL HYPERVISOR_physdev_op, PHYSDEVOP_set_iopl, ring_1
        call    drive_start
        call    adapter_start
mark_devices:
        mov     edx, VIRQ_DOM_EXC       ; tell us when a domain ends
        call    event_virtual
        mov     ecx, eax
        mov     eax, domains_event
        call    event_handler
        call    input_start
        call    archive_start
        call    orders_start
mark_built:

; Everything that happens, happens from here.
loop_start:
        call    watches_run
        call    wires_run
        cmp     dword [domains_alive], 0
        je      finish
        call    processes_run
        call    events_wait
        jmp     loop_start

finish:
mark_finish:
        call    summary
        call    print_result
mark_done:
        SHUT_DOWN

; What the domains have come to.
summary:
        pushad
        mov     ebx, domains
.next:  cmp     dword [ebx + DOMAIN_STATE], 2
        jne     .skip
        mov     eax, [ebx + DOMAIN_NUMBER]
        call    note
        mov     eax, [ebx + DOMAIN_REASON]
        call    note
.skip:  add     ebx, DOMAIN_BYTES
        cmp     ebx, domains_end
        jb      .next
        popad
        ret

; EAX is what a hypercall said that must not fail.
check:
        test    eax, eax
        js      .failed
        ret
.failed:
        push    eax
        SAY     text_refused
        pop     eax
        neg     eax
        call    put_decimal
        SAY     text_at
        pop     eax
        call    put_hex
        call    end_line

; Domain 0 cannot go on, and so no other can.
crash:
        HYPERCALL HYPERVISOR_sched_op, SCHEDOP_shutdown, crashed

TRAPS
        TRAP    0, fault, RING_0, INTERRUPT_GATE
        TRAP    6, fault, RING_0, INTERRUPT_GATE
        TRAP    13, general_fault, RING_0, INTERRUPT_GATE
        TRAP    14, page_fault, RING_0, INTERRUPT_GATE
        TRAP    0x80, system_call, RING_3, TRAP_GATE
END_TRAPS

%include "device_state.inc"
%include "dom0_memory.inc"
%include "dom0_events.inc"
%include "dom0_text.inc"
%include "dom0_tree.inc"
%include "dom0_wire.inc"
%include "dom0_store.inc"
%include "dom0_requests.inc"
%include "dom0_watch.inc"
%include "dom0_transaction.inc"
%include "dom0_archive.inc"
%include "dom0_builder.inc"
%include "dom0_image.inc"
%include "dom0_hvm.inc"
%include "dom0_domains.inc"
%include "dom0_life.inc"
%include "dom0_console.inc"
%include "dom0_orders.inc"
%include "dom0_back.inc"
%include "dom0_xenbus.inc"
%include "dom0_grants.inc"
%include "dom0_block.inc"
%include "ide.inc"
%include "dom0_disk.inc"
%include "dom0_net.inc"
%include "dom0_bridge.inc"
%include "lance.inc"
%include "dom0_adapter.inc"
%include "dom0_process.inc"
%include "dom0_space.inc"
%include "dom0_system.inc"
%include "dom0_selftest.inc"
%include "support.inc"

; What runs in ring 3.
        align   PAGE
application:
%include "dm.inc"
%include "dm_serial.inc"
%include "dm_platform.inc"
%include "dm_vga.inc"
%include "host_vmapp_network.inc"
%include "host_vmapp_receive.inc"
%include "host_vmapp_disk.inc"
        align   PAGE
application_end:

; What is written to stands on pages of its own, apart from code: each
; include says what it has.
        align   PAGE
        MEMORY_DATA
        EVENTS_DATA
        TREE_DATA
        WIRE_DATA
        STORE_DATA
        WATCH_DATA
        TRANSACTION_DATA
        ARCHIVE_DATA
        BUILDER_DATA
        DOMAINS_DATA
        LIFE_DATA
        CONSOLE_DATA
        ORDERS_DATA
        BACK_DATA
        GRANTS_DATA
        BLOCK_DATA
        DISK_DATA
        NET_DATA
        BRIDGE_DATA
        ADAPTER_DATA
        HVM_DATA
        PROCESS_DATA
        SYSTEM_DATA
        SELFTEST_DATA

        align   4
crashed:        dd      SHUTDOWN_crash
ring_1:         dd      1               ; struct physdev_set_iopl
text_hello:     db      "domain 0: xenstore, back ends and builder", 0
text_tests:     db      " requests to xenstore, wrong answers: ", 0
text_refused:   db      "domain 0: a hypercall failed with error ", 0
text_at:        db      " at ", 0

        align   16
        times   8192 db 0
dom0_stack_top:
image_end:
